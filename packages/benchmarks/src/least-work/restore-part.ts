import {
  closeSync,
  constants,
  futimesSync,
  lutimesSync,
  mkdirSync,
  openSync,
  renameSync,
  symlinkSync,
  utimesSync,
  writeSync,
} from 'node:fs'
import { checkPiece, readFrame, type Frame, type Piece } from './pack-part.ts'
import { counter, field, FIELDS, meet, raise, waitFor } from './shared-state.ts'

/** What a thread knows of the tree; the frames are those that it made itself. */
export interface KnownTree {
  readonly names: string[]
  readonly links: string[]
  /** Of the first save, which is what is restored; of 256 entries each. */
  readonly stats: Float64Array[]
  /** The same of the latest save. */
  readonly latest: Float64Array[]
  readonly frames: Frame[]
  /** Of the pieces. */
  readonly hashes: Map<string, true>
}

const BATCH = 256
const FRAME_ROOM = 1_048_576 + 65_536

/** Makes the tree of the first save: the first thread directories and links, both the files of their own frames. */
export function restoreAll(
  directory: string,
  tree: KnownTree,
  pack: string,
  number: 0 | 1,
  counters: Int32Array,
): void {
  if (number === 0) makeDirectories(directory, tree, counters)
  const fd = openSync(pack, 'r')
  const stored = Buffer.allocUnsafeSlow(FRAME_ROOM)
  for (const frame of tree.frames) {
    const last = frame.pieces.reduce((largest, { entry }) => Math.max(largest, entry), 0)
    waitFor(counters, counter.made, (made) => made > last)
    const raw = readFrame(fd, frame, stored)
    for (let index = 0; index < frame.pieces.length;) index = writeRun(directory, tree, frame, raw, index)
  }
  closeSync(fd)
  meet(counters, 1)
  for (let entry = tree.names.length - 1; entry >= 0; entry -= 1) {
    if (entry % 2 !== number || !isType(tree, entry, 0o040_000)) continue
    const seconds = statOf(tree, entry, field.mtimeMs) / 1000
    utimesSync(`${directory}/${tree.names[entry]}`, seconds, seconds)
  }
}

function makeDirectories(directory: string, tree: KnownTree, counters: Int32Array): void {
  for (let entry = 0; entry < tree.names.length; entry += 1) {
    const path = `${directory}/${tree.names[entry]}`
    if (isType(tree, entry, 0o040_000)) mkdirSync(path, statOf(tree, entry, field.mode) & 0o777)
    else if (isType(tree, entry, 0o120_000)) {
      const seconds = statOf(tree, entry, field.mtimeMs) / 1000
      symlinkSync(tree.links[entry] ?? '', path)
      lutimesSync(path, seconds, seconds)
    } else if (statOf(tree, entry, field.size) === 0) closeSync(create(path, tree, entry))
    if (entry % BATCH === BATCH - 1) raise(counters, counter.made, BATCH)
  }
  raise(counters, counter.made, BATCH)
}

/** Writes pieces of one file that lie one behind the other. @returns the number of the next piece */
function writeRun(directory: string, tree: KnownTree, { pieces }: Frame, raw: Buffer, from: number): number {
  const first = pieces[from] as Piece
  let next = from
  let length = 0
  for (let piece: Piece | undefined = first; piece !== undefined; piece = pieces[next]) {
    // Parts of a large file need not lie one behind the other.
    if (piece.entry !== first.entry || piece.position !== first.position + length) break
    length += checkPiece(raw, piece).length
    next += 1
  }
  const fd = create(`${directory}/${tree.names[first.entry]}`, tree, first.entry)
  const seconds = statOf(tree, first.entry, field.mtimeMs) / 1000
  writeSync(fd, raw, first.offset, length, first.position)
  futimesSync(fd, seconds, seconds)
  closeSync(fd)
  return next
}

/** A file of several frames is opened with each of them. */
function create(path: string, tree: KnownTree, entry: number): number {
  const flags = constants.O_WRONLY | constants.O_CREAT
  return openSync(path, flags, statOf(tree, entry, field.mode) & 0o777)
}

/** Replaces files that differ by temporary ones; each thread those in its own frames. */
export function restoreChanged(
  directory: string,
  tree: KnownTree,
  pack: string,
  changed: readonly number[],
): void {
  const wanted = new Set(changed)
  const fd = openSync(pack, 'r')
  const stored = Buffer.allocUnsafeSlow(FRAME_ROOM)
  for (const frame of tree.frames) {
    const pieces = frame.pieces.filter(({ entry }) => wanted.has(entry))
    if (pieces.length === 0) continue
    const raw = readFrame(fd, frame, stored)
    for (const piece of pieces) {
      const path = `${directory}/${tree.names[piece.entry]}`
      const file = openSync(`${path}.new`, 'wx', statOf(tree, piece.entry, field.mode) & 0o777)
      const seconds = statOf(tree, piece.entry, field.mtimeMs) / 1000
      writeSync(file, checkPiece(raw, piece), 0, piece.length, piece.position)
      futimesSync(file, seconds, seconds)
      closeSync(file)
      renameSync(`${path}.new`, path)
    }
  }
  closeSync(fd)
}

function statOf(tree: KnownTree, entry: number, column: number): number {
  return tree.stats[Math.floor(entry / BATCH)]?.[(entry % BATCH) * FIELDS + column] ?? 0
}

function isType(tree: KnownTree, entry: number, type: number): boolean {
  return (statOf(tree, entry, field.mode) & 0o170_000) === type
}
