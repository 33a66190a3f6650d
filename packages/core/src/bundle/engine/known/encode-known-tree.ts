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
  const ids = createIdTable()
  const filler = createFiller(changed, ids)
  for (const [path, directory] of changed) {
    filler.add(path, directory)
    const pause = slice?.pauseWhenDue()
    if (pause !== undefined) await pause
  }
  const packs = packsOf(tree, packsBefore, ids)
  const root = Uint32Array.of(tree.root === '' ? 0 : ids.placeOf(tree.root) + 1)
  return writeColumns({
    ...filler.finish(gone),
    ...packs,
    gone: Uint32Array.from(gone, (path) => path.length),
    root,
    ids: ids.finish(),
  })
}

interface IdTable {
  /** Where an id is, which it may be from now on. */
  placeOf(id: ContentId): number
  finish(): Buffer
}

function createIdTable(): IdTable {
  const places = new Map<ContentId, number>()
  return {
    placeOf(id) {
      const known = places.get(id)
      if (known !== undefined) return known
      places.set(id, places.size)
      return places.size - 1
    },
    finish: () => fromHex([...places.keys()]),
  }
}

/** One text of all of them could be longer than texts may be. */
const JOINED_IDS = 16_384

function fromHex(ids: readonly string[]): Buffer {
  const blocks: Buffer[] = []
  for (let start = 0; start < ids.length; start += JOINED_IDS)
    blocks.push(Buffer.from(ids.slice(start, start + JOINED_IDS).join(''), 'hex'))
  return Buffer.concat(blocks)
}

type DirectoryColumns = Omit<KnownTreeColumns, 'packs' | 'packChunks' | 'packIds' | 'gone' | 'root' | 'ids'>

interface Filler {
  add(path: ByteString, directory: KnownDirectory): void
  finish(gone: readonly ByteString[]): DirectoryColumns
}

function createFiller(changed: readonly (readonly [ByteString, KnownDirectory])[], ids: IdTable): Filler {
  const entryCount = changed.reduce((sum, [, { entries }]) => sum + entries.length, 0)
  const stats = new BigInt64Array(entryCount * STATS_PER_ENTRY)
  const sizesBelow = new Float64Array(changed.length * 2)
  const directories = new Uint32Array(changed.length * 3)
  const rows = createRowFiller(changed, entryCount, ids)
  const paths: string[] = []
  return {
    add(path, directory) {
      const { entries } = directory
      const place = paths.length
      paths.push(path)
      sizesBelow[place * 2] = directory.entriesBelow
      sizesBelow[place * 2 + 1] = directory.contentBytesBelow
      directories[place * 3] = path.length
      directories[place * 3 + 1] = entries.length
      directories[place * 3 + 2] = ids.placeOf(directory.node)
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
  ids: IdTable,
): RowFiller {
  const runCount = changed.reduce((sum, [, { entries }]) => sum + runsOf(entries), 0)
  const numbers = new Float64Array(entryCount * 3)
  const places = new Uint32Array(entryCount * 3)
  const shapes = new Uint16Array(entryCount * 2)
  const types = new Uint8Array(entryCount)
  const runLengths = new Float64Array(runCount)
  const runIds = new Uint32Array(runCount)
  const linked: number[] = []
  const linkGroups: bigint[] = []
  const names: string[] = []
  const targets: string[] = []
  let row = 0
  let run = 0
  const addFile = ({ size, runs, hardLinkGroup }: FileEntry): void => {
    types[row] = FILE
    numbers[row * 3 + 1] = size
    places[row * 3 + 1] = runs.length
    for (const { kind, id, length } of runs) {
      if (kind === 'list') throw new Error('a known tree holds no lists of runs')
      runLengths[run] = length
      runIds[run] = kind === 'zeros' ? 0 : ids.placeOf(id) + 1
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
      places[row * 3] = entry.mtimeNanoseconds
      if (entry.type === 'file') addFile(entry)
      else if (entry.type === 'directory') {
        types[row] = DIRECTORY
        numbers[row * 3 + 1] = entry.entriesBelow
        numbers[row * 3 + 2] = entry.contentBytesBelow
        places[row * 3 + 2] = ids.placeOf(entry.node)
      } else {
        types[row] = SYMLINK
        places[row * 3 + 1] = entry.target.length
        targets.push(entry.target)
      }
      row += 1
    },
    finish: () => ({
      numbers,
      places,
      shapes,
      types,
      runLengths,
      runIds,
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
  ids: IdTable,
): Pick<KnownTreeColumns, 'packs' | 'packChunks' | 'packIds'> {
  const chunks = new Map<string, number[]>()
  for (const pack of tree.packs.keys()) if (!packsBefore.has(pack)) chunks.set(pack, [])
  if (chunks.size > 0) for (const [id, pack] of tree.chunkPacks) chunks.get(pack)?.push(ids.placeOf(id))
  const packs = [...chunks].flatMap(([id, { length }]) => {
    const { bytes = 0, indexBytes = 0 } = tree.packs.get(id) ?? {}
    return [bytes, indexBytes, length]
  })
  return {
    packs: Float64Array.from(packs),
    packChunks: Uint32Array.from([...chunks.values()].flat()),
    packIds: fromHex([...chunks.keys()]),
  }
}
