import { Buffer } from 'node:buffer'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { FileEntry, TreeEntry } from '../../format/tree-node.ts'
import { STATS_PER_ENTRY, type KnownDirectory, type KnownTree } from './known-tree.ts'
import { DIRECTORY, FILE, SYMLINK, writeColumns, type KnownTreeColumns } from './known-tree-columns.ts'

export interface KnownTreeChanges {
  readonly tree: KnownTree
  /** What is known already, by path. */
  readonly before: ReadonlyMap<ByteString, KnownDirectory>
  readonly packsBefore: ReadonlySet<string>
}

/** What is new in a tree, and which directories it has no more, as parts to be written one after the other. */
export async function encodeChanges(
  { tree, before, packsBefore }: KnownTreeChanges,
  slice: TimeSlice | null,
): Promise<readonly Buffer[]> {
  const gone = [...before.keys()].filter((path) => !tree.directories.has(path))
  const changed = [...tree.directories].filter(([path, directory]) => before.get(path) !== directory)
  const ids: ContentId[] = []
  const filler = createFiller(changed, ids)
  for (const [path, directory] of changed) {
    filler.add(path, directory)
    const pause = slice?.pauseWhenDue()
    if (pause !== undefined) await pause
  }
  const packs = packsOf(tree, packsBefore, ids)
  if (tree.root !== '') ids.push(tree.root)
  return writeColumns({
    ...filler.finish(gone),
    ...packs,
    gone: Uint32Array.from(gone, (path) => path.length),
    ids: fromHex(ids),
  })
}

/** As many as make a text that V8 takes from the memory that it has already. */
const JOINED_IDS = 1024

function fromHex(ids: readonly string[]): Buffer {
  const bytes = Buffer.allocUnsafeSlow((ids.length * (ids[0] ?? '').length) / 2)
  let position = 0
  for (let start = 0; start < ids.length; start += JOINED_IDS)
    position += bytes.write(ids.slice(start, start + JOINED_IDS).join(''), position, 'hex')
  return bytes
}

type DirectoryColumns = Omit<KnownTreeColumns, 'packs' | 'packIds' | 'gone' | 'ids'>

interface Filler {
  add(path: ByteString, directory: KnownDirectory): void
  finish(gone: readonly ByteString[]): DirectoryColumns
}

function createFiller(changed: readonly (readonly [ByteString, KnownDirectory])[], ids: ContentId[]): Filler {
  const entryCount = changed.reduce((sum, [, { entries }]) => sum + entries.length, 0)
  const stats = new BigInt64Array(entryCount * STATS_PER_ENTRY)
  const sizesBelow = new Float64Array(changed.length * 2)
  const directories = new Uint32Array(changed.length * 2)
  const rows = createRowFiller(changed, entryCount, ids)
  const paths: string[] = []
  return {
    add(path, directory) {
      const { entries } = directory
      const place = paths.length
      paths.push(path)
      sizesBelow[place * 2] = directory.entriesBelow
      sizesBelow[place * 2 + 1] = directory.contentBytesBelow
      directories[place * 2] = path.length
      directories[place * 2 + 1] = entries.length
      ids.push(directory.node)
      const known = directory.stats.subarray(0, entries.length * STATS_PER_ENTRY)
      stats.set(known, rows.count() * STATS_PER_ENTRY)
      for (const entry of entries) rows.add(entry)
    },
    finish: (gone) => ({
      stats,
      sizesBelow,
      directories,
      ...rows.finish(),
      paths: Buffer.from([...gone, ...paths].join(''), 'latin1'),
    }),
  }
}

interface RowFiller {
  /** Entries so far. */
  count(): number
  add(entry: TreeEntry): void
  finish(): Omit<DirectoryColumns, 'stats' | 'sizesBelow' | 'directories' | 'paths'>
}

function createRowFiller(
  changed: readonly (readonly [ByteString, KnownDirectory])[],
  entryCount: number,
  ids: ContentId[],
): RowFiller {
  const runCount = changed.reduce((sum, [, { entries }]) => sum + runsOf(entries), 0)
  const numbers = new Float64Array(entryCount * 3)
  const counts = new Uint32Array(entryCount * 2)
  const shapes = new Uint16Array(entryCount * 2)
  const types = new Uint8Array(entryCount)
  const runLengths = new Float64Array(runCount)
  const zeroRuns = new Uint8Array(runCount)
  const linked: number[] = []
  const linkGroups: bigint[] = []
  const names: string[] = []
  const targets: string[] = []
  let row = 0
  let run = 0
  const addFile = ({ size, runs, hardLinkGroup }: FileEntry): void => {
    types[row] = FILE
    numbers[row * 3 + 1] = size
    counts[row * 2 + 1] = runs.length
    for (const { kind, id, length } of runs) {
      if (kind === 'list') throw new Error('a known tree holds no lists of runs')
      runLengths[run] = length
      if (kind === 'zeros') zeroRuns[run] = 1
      else ids.push(id)
      run += 1
    }
    if (hardLinkGroup === 0n) return
    linked.push(row)
    linkGroups.push(hardLinkGroup)
  }
  return {
    count: () => row,
    add(entry) {
      names.push(entry.name)
      shapes[row * 2] = entry.mode
      shapes[row * 2 + 1] = entry.name.length
      numbers[row * 3] = entry.mtimeSeconds
      counts[row * 2] = entry.mtimeNanoseconds
      if (entry.type === 'file') addFile(entry)
      else if (entry.type === 'directory') {
        types[row] = DIRECTORY
        numbers[row * 3 + 1] = entry.entriesBelow
        numbers[row * 3 + 2] = entry.contentBytesBelow
        ids.push(entry.node)
      } else {
        types[row] = SYMLINK
        counts[row * 2 + 1] = entry.target.length
        targets.push(entry.target)
      }
      row += 1
    },
    finish: () => ({
      numbers,
      counts,
      shapes,
      types,
      runLengths,
      zeroRuns,
      linked: Uint32Array.from(linked),
      linkGroups: BigUint64Array.from(linkGroups),
      names: Buffer.from(names.join(''), 'latin1'),
      targets: Buffer.from(targets.join(''), 'latin1'),
    }),
  }
}

function runsOf(entries: readonly TreeEntry[]): number {
  let count = 0
  for (const entry of entries) if (entry.type === 'file') count += entry.runs.length
  return count
}

function packsOf(
  tree: KnownTree,
  packsBefore: ReadonlySet<string>,
  ids: ContentId[],
): Pick<KnownTreeColumns, 'packs' | 'packIds'> {
  const chunks = new Map<string, ContentId[]>()
  for (const pack of tree.packs.keys()) if (!packsBefore.has(pack)) chunks.set(pack, [])
  if (chunks.size > 0) for (const [id, pack] of tree.chunkPacks) chunks.get(pack)?.push(id)
  const packs: number[] = []
  for (const [id, held] of chunks) {
    const { bytes = 0, indexBytes = 0 } = tree.packs.get(id) ?? {}
    packs.push(bytes, indexBytes, held.length)
    for (const chunk of held) ids.push(chunk)
  }
  return { packs: Float64Array.from(packs), packIds: fromHex([...chunks.keys()]) }
}
