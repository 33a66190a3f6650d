import type { ObjectStore } from '../store/object-store.ts'
import { WorkspaceError } from '../errors.ts'
import { openArchive, loadArchive, saveArchive, type NewArchive } from './archive-versions.ts'
import type { BundleStore, SaveOptions } from './bundle-store.ts'
import type { BundleFormat } from './bundle.ts'
import { createBundle } from './create-bundle.ts'
import { checkBundle } from './extract-bundle.ts'
import { teeCheck } from './tee-check.ts'
import { createVersionLog } from './version-log.ts'
import { assertWorkspaceId } from './workspace-id.ts'

export interface BundleStoreOptions {
  /** Gives the time that versions are stamped with. @default the system's clock */
  readonly clock?: (() => Date) | undefined
}

/**
 * Keeps whole directories by workspace id in any object store. See {@link BundleStore} for what it guarantees.
 *
 * Keys: `workspaces/<id>/<number>` for the record of a version, `archives/<id>/<name>` for its archive. Both are only
 * ever created and deleted, never changed. `delete` removes the oldest records first and archives last: cut short, the
 * workspace is still there with its newest version, or gone; deleting again ends it.
 *
 * All calls reject with `INVALID_INPUT` for an id that is not one, before anything is sent.
 */
export function createBundleStore(store: ObjectStore, options: BundleStoreOptions = {}): BundleStore {
  const { clock = () => new Date() } = options
  const log = createVersionLog(store)
  const stamped = <T extends SaveOptions>(given: T) => ({ ...given, createdAt: clock().toISOString() })

  return {
    async upload(id, bundle, given = {}) {
      assertWorkspaceId(id)
      const { signal, onProgress } = given
      const { format, chunks } = await openUpload(bundle, signal)
      const tee = teeCheck(chunks, (copies) => checkBundle(copies, { signal, onProgress }))
      const archive: NewArchive = {
        format,
        chunks: tee.chunks,
        async contents() {
          const { files, directories, symlinks, hardLinks, contentBytes } = await tee.result()
          return { entries: files + directories + symlinks + hardLinks, contentBytes }
        },
      }
      return saveArchive(store, log, id, archive, stamped(given))
    },

    async download(id, { version, signal } = {}) {
      assertWorkspaceId(id)
      const record =
        version === undefined ? await log.newest(id, signal) : await log.read(id, version, signal)
      return record === null ? null : openArchive(store, record, signal)
    },

    async delete(id, { signal } = {}) {
      assertWorkspaceId(id)
      const numbers: number[] = []
      for await (const number of log.numbers(id, signal)) numbers.push(number)
      for (const number of numbers.reverse()) await log.remove(id, number, signal)
      for await (const { key } of store.list(`archives/${id}/`, { signal }))
        await store.delete(key, { signal })
    },

    async exists(id, { signal } = {}) {
      assertWorkspaceId(id)
      for await (const number of log.numbers(id, signal)) return number > 0
      return false
    },

    async *list({ prefix = '', signal } = {}) {
      if (prefix !== '') assertWorkspaceId(prefix)
      const ids: string[] = []
      for await (const id of log.workspaceIds(prefix, signal)) ids.push(id)
      for (const workspaceId of ids.sort()) {
        const latest = await log.newest(workspaceId, signal)
        if (latest !== null) yield { workspaceId, latest: latest.version }
      }
    },

    async save(id, directory, given) {
      assertWorkspaceId(id)
      const { exclude, onProgress, signal } = given
      const bundle = createBundle(directory, { exclude, onProgress, signal })
      const archive: NewArchive = {
        format: 'tar.zst',
        chunks: bundle,
        async contents() {
          const { files, directories, symlinks, hardLinks, contentBytes } = bundle.report()
          return { entries: files + directories + symlinks + hardLinks, contentBytes }
        },
      }
      const version = await saveArchive(store, log, id, archive, stamped(given))
      return { version, report: bundle.report() }
    },

    async load(id, directory, given = {}) {
      assertWorkspaceId(id)
      const { version, signal } = given
      const record =
        version === undefined ? await log.newest(id, signal) : await log.read(id, version, signal)
      if (record === null) return null
      return { version: record.version, report: await loadArchive(store, record, directory, given) }
    },

    async *history(id, { signal } = {}) {
      assertWorkspaceId(id)
      for await (const number of log.numbers(id, signal)) {
        const record = await log.read(id, number, signal)
        if (record !== null) yield record.version
      }
    },
  }
}

/** The first chunk tells the format, which the record and the archive's name need before the rest is there. */
async function openUpload(
  bundle: AsyncIterable<Uint8Array> | Uint8Array,
  signal: AbortSignal | undefined,
): Promise<{ format: BundleFormat; chunks: AsyncGenerator<Uint8Array, void, void> }> {
  async function* whole(): AsyncGenerator<Uint8Array, void, void> {
    if (bundle instanceof Uint8Array) yield bundle
    else yield* bundle
  }
  signal?.throwIfAborted()
  const source = whole()
  let first = await source.next()
  while (first.done !== true && first.value.length === 0) first = await source.next()
  if (first.done === true) {
    throw new WorkspaceError('INVALID_INPUT', 'The bundle is empty: a tar.zst or tar.gz is needed.')
  }
  const head = first.value
  async function* chunks(): AsyncGenerator<Uint8Array, void, void> {
    yield head
    yield* source
  }
  return { format: head[0] === 0x1f ? 'tar.gz' : 'tar.zst', chunks: chunks() }
}
