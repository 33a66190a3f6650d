import { Buffer } from 'node:buffer'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import type { ContentId } from '../../format/content-id.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { Run } from '../../format/tree-runs.ts'
import { STATS_PER_ENTRY, type KnownTree } from './known-tree.ts'
import {
  DIRECTORY,
  FILE,
  NODE_ID_BYTES,
  PACK_ID_BYTES,
  readColumns,
  SYMLINK,
  type KnownTreeColumns,
} from './known-tree-columns.ts'

/** Adds to a tree what `encodeChanges` has made of later ones. @throws for anything else, and the tree is of no use then */
export async function decodeChanges(
  bytes: Buffer<ArrayBuffer>,
  tree: KnownTree,
  slice: TimeSlice | null,
): Promise<void> {
  const columns = readColumns(bytes)
  const { gone, directories, sizesBelow } = columns
  for (const column of [sizesBelow, columns.numbers, columns.packs])
    if (!column.every(Number.isSafeInteger)) fail('a number is impossible')
  const ids = hexOf(columns.ids, NODE_ID_BYTES)
  let lastId = -1
  const takeId = (): ContentId => ids[(lastId += 1)] ?? fail('it lacks ids')
  const paths = createTextCursor(columns.paths)
  for (const length of gone) tree.directories.delete(paths.take(length))
  const entryCursor = createEntryCursor(columns, takeId)
  const stats = columns.stats.slice()
  let row = 0
  for (let place = 0; place * 2 < directories.length; place += 1) {
    const path = paths.take(directories[place * 2] ?? 0)
    const count = directories[place * 2 + 1] ?? 0
    const first = row
    row += count
    tree.directories.set(path, {
      node: takeId(),
      entries: entryCursor.take(count),
      stats: stats.subarray(first * STATS_PER_ENTRY, row * STATS_PER_ENTRY),
      entriesBelow: sizesBelow[place * 2] ?? 0,
      contentBytesBelow: sizesBelow[place * 2 + 1] ?? 0,
    })
    const pause = slice?.pauseWhenDue()
    if (pause !== undefined) await pause
  }
  paths.end()
  entryCursor.end()
  if (stats.length !== row * STATS_PER_ENTRY) fail('its stats are not those of its entries')
  addPacks(columns, tree, takeId)
  tree.root = lastId === ids.length - 1 ? '' : takeId()
  if (lastId !== ids.length - 1) fail('it has ids that are nowhere')
}

interface EntryCursor {
  /** The next entries, which are those of one directory. */
  take(count: number): TreeEntry[]
  end(): void
}

function createEntryCursor(columns: KnownTreeColumns, takeId: () => ContentId): EntryCursor {
  const { numbers, counts, shapes, types, linked, linkGroups, runLengths, zeroRuns } = columns
  const names = createTextCursor(columns.names)
  const targets = createTextCursor(columns.targets)
  if (names.includes('/') || names.includes('\0') || targets.includes('\0')) fail('a name is impossible')
  let row = 0
  let run = 0
  let link = 0
  const takeRun = (): Run => {
    const length = runLengths[run] ?? 0
    const isZeros = zeroRuns[run] === 1
    run += 1
    if (!Number.isSafeInteger(length) || length <= 0) fail('a run has an impossible length')
    return isZeros ? { kind: 'zeros', id: '', length } : { kind: 'chunk', id: takeId(), length }
  }
  const takeRuns = (count: number, size: number): readonly Run[] => {
    if (count > runLengths.length - run) fail('it lacks runs')
    // Most files have one, and an array that grows by a push has room for 17.
    const runs = count === 1 ? [takeRun()] : []
    while (runs.length < count) runs.push(takeRun())
    let length = 0
    for (const each of runs) length += each.length
    if (length !== size) fail('the runs of a file are not as long as the file')
    return runs
  }
  const takeEntry = (name: ByteString): TreeEntry => {
    const at = row * 3
    const type = types[row] ?? 0
    const mode = shapes[row * 2] ?? 0
    const mtimeSeconds = numbers[at] ?? 0
    const mtimeNanoseconds = counts[row * 2] ?? 0
    const number = numbers[at + 1] ?? 0
    const count = counts[row * 2 + 1] ?? 0
    if (mode > 0o7777 || mtimeNanoseconds >= 1e9) fail('a mode or a time is impossible')
    const isLinked = linked[link] === row
    row += 1
    if (type === FILE) {
      const runs = takeRuns(count, number)
      const hardLinkGroup = isLinked ? (linkGroups[link] ?? 0n) : 0n
      if (isLinked) link += 1
      return { type: 'file', name, mode, mtimeSeconds, mtimeNanoseconds, size: number, hardLinkGroup, runs }
    }
    if (type === SYMLINK) {
      const target = targets.take(count)
      if (target === '') fail('a link is impossible')
      return { type: 'symlink', name, mode, mtimeSeconds, mtimeNanoseconds, target }
    }
    if (type !== DIRECTORY) fail(`an entry is of the unknown type ${type}`)
    const node = takeId()
    const contentBytesBelow = numbers[at + 2] ?? 0
    const facts = { name, mode, mtimeSeconds, mtimeNanoseconds }
    return { type: 'directory', ...facts, node, entriesBelow: number, contentBytesBelow }
  }
  return {
    take(count) {
      if (count > types.length - row) fail('it lacks entries')
      const entries: TreeEntry[] = []
      let last = ''
      for (let index = 0; index < count; index += 1) {
        const name = names.take(shapes[row * 2 + 1] ?? 0)
        if (name <= last || name === '.' || name === '..') fail('a name is impossible or not in its place')
        last = name
        entries.push(takeEntry(name))
      }
      return entries
    },
    end() {
      names.end()
      targets.end()
      const isAllTaken = row === types.length && run === runLengths.length && link === linked.length
      if (!isAllTaken) fail('it has entries, runs or links that are nowhere')
    },
  }
}

function addPacks(columns: KnownTreeColumns, tree: KnownTree, takeId: () => ContentId): void {
  const { packs } = columns
  for (const [place, id] of hexOf(columns.packIds, PACK_ID_BYTES).entries()) {
    const [bytes = 0, indexBytes = 0, count = 0] = packs.subarray(place * 3, place * 3 + 3)
    tree.packs.set(id, { id, bytes, indexBytes })
    for (let left = count; left > 0; left -= 1) tree.chunkPacks.set(takeId(), id)
  }
}

interface TextCursor {
  take(length: number): ByteString
  includes(part: string): boolean
  end(): void
}

function createTextCursor(bytes: Uint8Array): TextCursor {
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
  let position = 0
  return {
    take(length) {
      const start = position
      position += length
      return position <= text.length ? text.slice(start, position) : fail('a text is cut off')
    },
    includes: (part) => text.includes(part),
    end() {
      if (position !== text.length) fail('a text is longer than its parts')
    },
  }
}

/** One text of all of them could be longer than texts may be. */
const JOINED_IDS = 16_384

function hexOf(bytes: Uint8Array, idBytes: number): string[] {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const ids: string[] = []
  for (let start = 0; start < buffer.length; start += JOINED_IDS * idBytes) {
    const text = buffer.toString('hex', start, Math.min(buffer.length, start + JOINED_IDS * idBytes))
    for (let position = 0; position < text.length; position += idBytes * 2)
      ids.push(text.slice(position, position + idBytes * 2))
  }
  return ids
}

function fail(reason: string): never {
  throw new Error(`the cache of a saved tree is damaged: ${reason}`)
}
