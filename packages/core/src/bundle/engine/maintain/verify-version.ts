import { WorkspaceError } from '../../../errors.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { ContentId } from '../../format/content-id.ts'
import { damagedObject } from '../../format/damaged-object.ts'
import { decodeFrameInPool } from '../../format/frame.ts'
import type { PackIndex } from '../../format/pack-index.ts'
import { cutChunk, readPackIndex } from '../../format/pack-reader.ts'
import type { VersionRecord } from '../../format/version-record.ts'
import { createChunkLocator, type ChunkLocator } from '../read/chunk-locator.ts'
import { objectOf, reasonOf } from '../repository/damage.ts'
import { fetchFramesTwice } from '../read/fetch-frames.ts'
import type { LoadLimits } from '../../bundle.ts'
import { readTwice } from '../repository/read-twice.ts'
import { createChunkReader } from '../read/read-chunk.ts'
import { rootOf } from '../read/read-tree.ts'
import { repairVersion, type FoundDamage, type RepairOptions, type VersionRepair } from './repair-version.ts'
import { findReplacements } from '../repository/repairs.ts'
import type { Repository } from '../repository/repository.ts'
import { childOf, createTreeReader, type TreeDirectory, type TreeReader } from '../read/tree-reader.ts'

export interface VerifyVersionOptions {
  /**
   * Looks elsewhere for what is damaged, and stores anew what it finds; see {@link RepairOptions}. Nothing that is stored
   * is changed or deleted. @default nothing is written
   */
  readonly repair?: RepairOptions | undefined
  /** @default those of a load */
  readonly limits?: LoadLimits | undefined
  readonly onProgress?: ((progress: VerifyProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface VerifyProgress {
  /** Of the packs, read and checked. */
  readonly bytesDone: number
  readonly bytesExpected: number
}

/** JSON-safe. */
export interface VerifiedVersion {
  /** Empty: every byte is what was written, and the version can be loaded as a whole. */
  readonly problems: readonly VersionProblem[]
  readonly packs: number
  readonly bytes: number
  readonly files: number
  /** Damage that an earlier repair, or this one, has made harmless: everything that the version needs is in other packs. */
  readonly repaired: readonly VersionProblem[]
  /**
   * Only where there was any: damaged when it was read once, whole when it was read again. What is stored is whole; look for
   * the fault on the way from the store: a proxy, a network, memory, a disk.
   */
  readonly transient?: readonly VersionProblem[]
  /** Only of a call with `repair` that found damage. */
  readonly repair?: VersionRepair
}

export interface VersionProblem {
  /** Key of the stored object. */
  readonly object: string
  readonly reason: string
  /** Files and links that cannot be loaded because of it; a directory stands for all that it holds. May be none. */
  readonly files: readonly string[]
}

/**
 * Reads back every byte of every pack that a version names, checks each chunk against its id, and follows the whole tree
 * to see that nothing is missing. Reports everything that is wrong instead of stopping at the first. Memory: the indexes
 * of the packs, and a few frames. Changes nothing, unless `repair` asks for it.
 * @throws `QUOTA_EXCEEDED` for a tree over the limits, and what the store throws when it cannot be reached
 */
export async function verifyVersion(
  repository: Repository,
  record: VersionRecord,
  options: VerifyVersionOptions = {},
): Promise<VerifiedVersion> {
  const { repair: wanted, limits, signal } = options
  const { damage, ...found } = await checkVersion(repository, record, options)
  if (wanted === undefined || found.problems.length === 0) return found
  const repair = await repairVersion(repository, record, damage, { ...wanted, limits, signal })
  if (repair.packs.length === 0) return { ...found, repair }
  const { damage: _left, ...after } = await checkVersion(repository, record, { limits, signal })
  return { ...after, repair }
}

async function checkVersion(
  repository: Repository,
  record: VersionRecord,
  { limits, onProgress, signal }: VerifyVersionOptions,
): Promise<VerifiedVersion & { readonly damage: FoundDamage }> {
  const problems = createProblemList()
  const transient = createProblemList()
  const damagedChunks = new Map<ContentId, string>()
  const damagedPacks = new Set<string>()
  const replacements = await findReplacements(repository, record.packs, signal)
  const packs = [...record.packs, ...replacements]
  const bytesExpected = packs.reduce((sum, { bytes }) => sum + bytes, 0)
  let bytesDone = 0
  for (const pack of packs) {
    signal?.throwIfAborted()
    const key = repository.packKey(pack.id)
    let index: PackIndex
    try {
      index = await readTwice(
        () => readPackIndex(repository, pack, signal),
        (error) => transient.add(key, error),
      )
    } catch (error) {
      problems.add(key, error)
      damagedPacks.add(pack.id)
      continue
    }
    const isReplacement = replacements.includes(pack)
    await verifyPack(repository, index, {
      signal,
      onBytes: (bytes) => onProgress?.({ bytesDone: (bytesDone += bytes), bytesExpected }),
      onSound(id) {
        if (isReplacement) damagedChunks.delete(id)
      },
      onDamage(error, chunks) {
        problems.add(key, error)
        damagedPacks.add(pack.id)
        for (const id of chunks) damagedChunks.set(id, key)
      },
      onTransient: (error) => transient.add(key, error),
    })
  }
  const locator = createChunkLocator(repository, record.packs, signal, true)
  const chunks = createChunkReader(repository, locator, true, signal)
  const tree = createTreeReader(chunks.read, limits)
  const files = await verifyTree(
    tree,
    locator,
    rootOf(record),
    (path, id, error) => {
      const key = id === null ? undefined : damagedChunks.get(id)
      problems.hit(key ?? objectOf(error), reasonOf(error), pathText(path))
    },
    damagedChunks,
    signal,
  )
  const all = problems.list()
  const notes = transient.list()
  // Replaced, if anything is: then damage that hits no file of this version is harmless to it.
  const isHarmless = ({ files: hit }: VersionProblem): boolean => replacements.length > 0 && hit.length === 0
  return {
    problems: all.filter((problem) => !isHarmless(problem)),
    packs: packs.length,
    bytes: bytesDone,
    files,
    repaired: all.filter(isHarmless),
    ...(notes.length === 0 ? {} : { transient: notes }),
    damage: { chunks: new Set(damagedChunks.keys()), packs: damagedPacks },
  }
}

interface VerifyPackOptions {
  readonly signal: AbortSignal | undefined
  readonly onBytes: (bytes: number) => void
  readonly onSound: (id: ContentId) => void
  readonly onDamage: (error: unknown, chunks: readonly ContentId[]) => void
  readonly onTransient: (error: unknown) => void
}

async function verifyPack(
  repository: Repository,
  pack: PackIndex,
  options: VerifyPackOptions,
): Promise<void> {
  const frames = pack.frames.map((_, frame) => ({ pack, frame, chunks: [] as number[] }))
  for (let position = 0; position < pack.chunkCount; position += 1) {
    frames[pack.chunkAt(position).frame]?.chunks.push(position)
  }
  const counted = new Set<number>()
  await fetchFramesTwice(repository, {
    work: frames,
    width: 4,
    signal: options.signal,
    async onFrame(work, stored, onDamage) {
      const { frame, chunks } = work
      if (!counted.has(frame)) options.onBytes(stored.length)
      counted.add(frame)
      let raw: Uint8Array
      try {
        raw = await decodeFrameInPool(stored, { packId: pack.packId, frame }, repository.keys)
      } catch (error) {
        onDamage(work, error)
        return
      }
      const damaged: number[] = []
      let damage: unknown
      for (const position of chunks) {
        const chunk = pack.chunkAt(position)
        try {
          cutChunk(pack.packId, raw, chunk, repository.keys)
          options.onSound(chunk.id)
        } catch (error) {
          damage ??= error
          damaged.push(position)
        }
      }
      if (damaged.length > 0) onDamage({ ...work, chunks: damaged }, damage)
    },
    onDamage({ chunks }, error) {
      options.onDamage(
        error,
        chunks.map((position) => pack.chunkAt(position).id),
      )
    },
    onTransient: (_work, error) => options.onTransient(error),
  })
}

async function verifyTree(
  tree: TreeReader,
  locator: ChunkLocator,
  root: TreeDirectory,
  onHit: (path: string, id: ContentId | null, error: unknown) => void,
  damagedChunks: ReadonlyMap<ContentId, string>,
  signal: AbortSignal | undefined,
): Promise<number> {
  let files = 0
  const pending = [root]
  for (let directory = pending.pop(); directory !== undefined; directory = pending.pop()) {
    signal?.throwIfAborted()
    try {
      for await (const entry of tree.entries(directory)) {
        const path = childOf(directory, entry.name)
        if (entry.type === 'directory') {
          pending.push({
            path,
            node: entry.node,
            entriesBelow: entry.entriesBelow,
            depth: directory.depth + 1,
          })
          continue
        }
        files += 1
        if (entry.type === 'symlink') continue
        try {
          for await (const run of tree.runs(path, entry)) {
            if (run.kind !== 'chunk') continue
            const { chunk } = locator.find(run.id) ?? (await locator.locate(run.id))
            const isDamaged = damagedChunks.has(run.id)
            if (chunk.length === run.length && !isDamaged) continue
            onHit(path, run.id, damagedObject(`chunk ${run.id}`, 'it is damaged or has another length'))
            break
          }
        } catch (error) {
          if (!WorkspaceError.is(error, 'CORRUPT')) throw error
          onHit(path, null, error)
        }
      }
    } catch (error) {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      onHit(directory.path, null, error)
    }
  }
  return files
}

function createProblemList() {
  const byObject = new Map<string, { reason: string; files: Set<string> }>()
  const at = (object: string, reason: string) => {
    const known = byObject.get(object)
    if (known !== undefined) return known
    const problem = { reason, files: new Set<string>() }
    byObject.set(object, problem)
    return problem
  }
  return {
    add(object: string, error: unknown): void {
      if (!WorkspaceError.is(error, 'CORRUPT')) throw error
      at(object, reasonOf(error))
    },
    hit(object: string, reason: string, path: string): void {
      at(object, reason).files.add(path === '' ? '.' : path)
    },
    list: (): VersionProblem[] =>
      [...byObject].map(([object, { reason, files }]) => ({ object, reason, files: [...files].sort() })),
  }
}
