import { createHash, randomUUID } from 'node:crypto'
import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from '../store/object-store.ts'
import type { BundleDownload, LoadOptions, SaveOptions, WorkspaceVersion } from './bundle-store.ts'
import type { BundleFormat, ExtractReport } from './bundle.ts'
import { extractBundle } from './extract-bundle.ts'
import { conflict, type VersionLog } from './version-log.ts'
import { damaged, isTextPairs, type VersionRecord } from './version-record.ts'

/** One archive on its way into the store. */
export interface NewArchive {
  readonly format: BundleFormat
  readonly chunks: AsyncIterable<Uint8Array>
  /** Called after the last chunk. */
  contents(): Promise<{ readonly entries: number; readonly contentBytes: number }>
}

/**
 * Versions that are one whole archive each. The archive goes first, under a name of its own; the record that makes it
 * a version comes last. A writer that fails removes its archive as far as it can: what it leaves is unused bytes.
 */
export async function saveArchive(
  store: ObjectStore,
  log: VersionLog,
  workspaceId: string,
  archive: NewArchive,
  options: SaveOptions & { readonly createdAt: string },
): Promise<WorkspaceVersion> {
  const { message = '', author = null, metadata = {}, signal, createdAt } = options
  checkTexts(message, author, metadata)
  if (store.capabilities.createIfAbsent === false) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The store ${store.name} cannot create an object only if it is absent, which saving a version needs.`,
    )
  }
  const latest = (await log.newest(workspaceId, signal))?.version.version ?? 0
  if (options.parent !== undefined && options.parent !== latest) {
    throw conflict(workspaceId, latest, options.parent)
  }
  const archiveKey = `archives/${workspaceId}/${randomUUID()}.${archive.format}`
  try {
    const stored = await putHashed(store, archiveKey, archive, signal)
    const { entries, contentBytes } = await archive.contents()
    const version: WorkspaceVersion = {
      workspaceId,
      version: latest + 1,
      parent: latest === 0 ? null : latest,
      message,
      author,
      metadata: { ...metadata },
      createdAt,
      archive: { format: archive.format, ...stored },
      entries,
      contentBytes,
    }
    await log.commit({ version, archiveKey, nonce: randomUUID() }, signal)
    return version
  } catch (error) {
    // A record that the store may still bring to light must not point at nothing.
    const isOpen = WorkspaceError.is(error) && error.details['committed'] === 'unknown'
    if (!isOpen) await store.delete(archiveKey).catch(() => undefined)
    throw error
  }
}

/** @throws `CORRUPT` naming key and workspace when the stored archive is not what was saved */
export async function loadArchive(
  store: ObjectStore,
  record: VersionRecord,
  directory: string,
  options: LoadOptions,
): Promise<ExtractReport> {
  const { mode, limits, onProgress, signal } = options
  const download = await openArchive(store, record, signal)
  try {
    return await extractBundle(download, directory, { mode, limits, onProgress, signal })
  } catch (error) {
    const isDamage = WorkspaceError.is(error, 'CORRUPT') || WorkspaceError.is(error, 'UNSAFE_PATH')
    const isForeign = WorkspaceError.is(error, 'INVALID_INPUT') && error.details['input'] === 'archive'
    if (!(isDamage || isForeign) || error.details['key'] !== undefined) throw error
    throw damaged(
      record.archiveKey,
      record.version.workspaceId,
      'it is not the archive that was saved',
      error,
    )
  } finally {
    await download.discard()
  }
}

/** The archive's bytes; their number and SHA-256 are checked before the stream ends well. */
export async function openArchive(
  store: ObjectStore,
  record: VersionRecord,
  signal: AbortSignal | undefined,
): Promise<BundleDownload> {
  const { archiveKey, version } = record
  const object = await store.get(archiveKey, { signal })
  if (object === null) throw damaged(archiveKey, version.workspaceId, 'it is gone')
  async function* verified(): AsyncGenerator<Uint8Array, void, void> {
    const hash = createHash('sha256')
    let bytes = 0
    if (object === null) return
    for await (const chunk of object.body) {
      signal?.throwIfAborted()
      bytes += chunk.length
      if (bytes > version.archive.bytes) throw damaged(archiveKey, version.workspaceId, 'it is too long')
      hash.update(chunk)
      yield chunk
    }
    if (bytes < version.archive.bytes) throw damaged(archiveKey, version.workspaceId, 'it is cut off')
    if (hash.digest('hex') !== version.archive.sha256) {
      throw damaged(archiveKey, version.workspaceId, 'its SHA-256 is not the recorded one')
    }
  }
  const chunks = verified()
  return { version, [Symbol.asyncIterator]: () => chunks, discard: () => object.discard() }
}

async function putHashed(
  store: ObjectStore,
  key: string,
  archive: NewArchive,
  signal: AbortSignal | undefined,
): Promise<{ bytes: number; sha256: string }> {
  const hash = createHash('sha256')
  let bytes = 0
  async function* body(): AsyncGenerator<Uint8Array, void, void> {
    for await (const chunk of archive.chunks) {
      hash.update(chunk)
      bytes += chunk.length
      yield chunk
    }
  }
  const contentType = archive.format === 'tar.gz' ? 'application/gzip' : 'application/zstd'
  await store.put(key, body(), { contentType, signal })
  return { bytes, sha256: hash.digest('hex') }
}

function checkTexts(message: unknown, author: unknown, metadata: unknown): void {
  const isRight =
    typeof message === 'string' && (author === null || typeof author === 'string') && isTextPairs(metadata)
  if (isRight && JSON.stringify([message, author, metadata]).length <= 256 * 1024) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    'The message, author and metadata of a version must be text, 256 KiB in all.',
  )
}
