import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { NewChunk } from '../../format/tree-runs.ts'
import { encodeNodes } from './encode-nodes.ts'
import type { FileStats } from '../known/file-stats.ts'
import type { HardLinks } from './find-hard-links.ts'
import { isSettled } from '../known/known-stats.ts'
import { STATS_PER_ENTRY, type KnownDirectory } from '../known/known-tree.ts'
import type { FoundDirectory, FoundEntry } from './walk-directory.ts'

export interface EncodeOptions {
  /** Each directory before what it holds. */
  readonly found: readonly FoundDirectory[]
  readonly links: HardLinks
  readonly keys: RepositoryKeys | null
  readonly isStored: (id: ContentId) => boolean
  /** When the walk began. */
  readonly startedNs: bigint
}

/**
 * Describes the tree from its leaves up; yields the chunks of every directory that differs from what is known.
 * Directories that do not differ are the known objects themselves.
 */
export function* encodeFoundTree(
  options: EncodeOptions,
): Generator<NewChunk, Map<ByteString, KnownDirectory>, void> {
  const done = new Map<ByteString, KnownDirectory>()
  for (let index = options.found.length - 1; index >= 0; index -= 1) {
    const directory = options.found[index]
    if (directory === undefined || directory.isGone) continue
    const { known } = directory
    if (known !== null && directory.isSame && isUnchangedBelow(directory, known, done, options)) {
      done.set(directory.path, withListed(directory, known, done, options))
      continue
    }
    done.set(directory.path, yield* encodeOne(directory, done, options))
  }
  return done
}

function isUnchangedBelow(
  directory: FoundDirectory,
  known: KnownDirectory,
  done: ReadonlyMap<ByteString, KnownDirectory>,
  options: EncodeOptions,
): boolean {
  if (!options.isStored(known.node)) return false
  return directory.entries.every((found, index) => {
    const entry = known.entries[index]
    if (found.kind === 'same') return found.entry.type === 'symlink' || found.entry.hardLinkGroup === 0n
    if (found.kind === 'leaf') {
      return found.entry.type === 'symlink' || found.entry.hardLinkGroup === groupOf(found.stats, options)
    }
    return (
      found.kind === 'directory' &&
      entry?.type === 'directory' &&
      done.get(found.directory.path)?.node === entry.node
    )
  })
}

/** What is known of a directory, and since when those in it have the names that they have. */
function withListed(
  directory: FoundDirectory,
  known: KnownDirectory,
  done: ReadonlyMap<ByteString, KnownDirectory>,
  { startedNs }: EncodeOptions,
): KnownDirectory {
  let stats: BigInt64Array | null = null
  directory.entries.forEach((found, index) => {
    if (found.kind !== 'directory' || found.directory.isAsListed) return
    const listed = listedStats(found.directory, done)
    if (listed === null || !isSettled(listed, startedNs)) return
    stats ??= known.stats.slice()
    setStats(stats, index, listed, startedNs)
  })
  return stats === null ? known : { ...known, stats }
}

/** What a directory was before it was listed, if all that was listed is in the tree. */
function listedStats(
  { path, stats, nameCount }: FoundDirectory,
  done: ReadonlyMap<ByteString, KnownDirectory>,
): FileStats | null {
  return done.get(path)?.entries.length === nameCount ? stats : null
}

function* encodeOne(
  directory: FoundDirectory,
  done: ReadonlyMap<ByteString, KnownDirectory>,
  options: EncodeOptions,
): Generator<NewChunk, KnownDirectory, void> {
  const entries: TreeEntry[] = []
  const stats = new BigInt64Array(directory.entries.length * STATS_PER_ENTRY)
  let entriesBelow = 0
  let contentBytesBelow = 0
  for (const [index, found] of directory.entries.entries()) {
    const taken = toEntry(directory, found, done, options)
    if (taken === null) continue
    const { entry } = taken
    if (taken.stats !== null) setStats(stats, entries.length, taken.stats, options.startedNs)
    else if (found.kind === 'same') copyStats(stats, entries.length, directory.known, index)
    entries.push(entry)
    entriesBelow += 1 + (entry.type === 'directory' ? entry.entriesBelow : 0)
    if (entry.type !== 'symlink')
      contentBytesBelow += entry.type === 'file' ? entry.size : entry.contentBytesBelow
  }
  const chunks = encodeNodes(entries, options.keys)
  for (const chunk of chunks) if (!options.isStored(chunk.id)) yield chunk
  const node = chunks.at(-1)?.id ?? ''
  return { node, entries, stats, entriesBelow, contentBytesBelow }
}

function toEntry(
  directory: FoundDirectory,
  found: FoundEntry,
  done: ReadonlyMap<ByteString, KnownDirectory>,
  options: EncodeOptions,
): { readonly entry: TreeEntry; readonly stats: FileStats | null } | null {
  if (found.kind === 'directory') {
    const inner = done.get(found.directory.path)
    if (inner === undefined) return null
    const { name, mode, mtimeSeconds, mtimeNanoseconds } = found.directory.facts
    const { node, entriesBelow, contentBytesBelow } = inner
    const facts = { name, mode, mtimeSeconds, mtimeNanoseconds }
    const entry = { type: 'directory', ...facts, node, entriesBelow, contentBytesBelow } as const
    return { entry, stats: listedStats(found.directory, done) }
  }
  // It could not be read, which is noted.
  if (found.kind === 'unread') return null
  const { entry } = found
  const stats = found.kind === 'leaf' ? found.stats : null
  if (entry.type === 'symlink') return { entry, stats }
  const hardLinkGroup = groupOf(stats, options)
  return { entry: entry.hardLinkGroup === hardLinkGroup ? entry : { ...entry, hardLinkGroup }, stats }
}

function groupOf(stats: FileStats | null, { links }: EncodeOptions): bigint {
  return stats === null ? 0n : links(stats)
}

function copyStats(rows: BigInt64Array, index: number, known: KnownDirectory | null, from: number): void {
  const start = from * STATS_PER_ENTRY
  if (known !== null) rows.set(known.stats.subarray(start, start + STATS_PER_ENTRY), index * STATS_PER_ENTRY)
}

function setStats(rows: BigInt64Array, index: number, stats: FileStats, startedNs: bigint): void {
  if (!isSettled(stats, startedNs)) return
  const row = index * STATS_PER_ENTRY
  rows[row] = stats.dev
  rows[row + 1] = stats.ino
  rows[row + 2] = stats.ctimeNs
  rows[row + 3] = stats.mtimeNs
}
