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
import { BATCH_ENTRIES, DIRECTORY, isType, statOf, SYMLINK, type KnownTree } from './known-tree.ts'
import { checkPiece, readFrame, type Frame, type Piece } from './pack-part.ts'
import { counter, field, meet, raise, waitFor } from './shared-state.ts'

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
    if (entry % 2 !== number || !isType(tree, entry, DIRECTORY)) continue
    const seconds = statOf(tree, entry, field.mtimeMs) / 1000
    utimesSync(`${directory}/${tree.names[entry]}`, seconds, seconds)
  }
}

function makeDirectories(directory: string, tree: KnownTree, counters: Int32Array): void {
  for (let entry = 0; entry < tree.names.length; entry += 1) {
    const path = `${directory}/${tree.names[entry]}`
    if (isType(tree, entry, DIRECTORY)) mkdirSync(path, statOf(tree, entry, field.mode) & 0o777)
    else if (isType(tree, entry, SYMLINK)) {
      const seconds = statOf(tree, entry, field.mtimeMs) / 1000
      symlinkSync(tree.links[entry] ?? '', path)
      lutimesSync(path, seconds, seconds)
    } else if (statOf(tree, entry, field.size) === 0) closeSync(create(path, tree, entry))
    if (entry % BATCH_ENTRIES === BATCH_ENTRIES - 1) raise(counters, counter.made, BATCH_ENTRIES)
  }
  raise(counters, counter.made, BATCH_ENTRIES)
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

/** Replaces files that differ by temporary ones; each thread those in its own frames, where files that are not shared lie whole. */
export function restoreChanged(
  directory: string,
  tree: KnownTree,
  pack: string,
  changed: readonly number[],
): void {
  const wanted = new Set(changed)
  const open = new Map<number, number>()
  const openTemporary = (entry: number): number => {
    const known = open.get(entry)
    if (known !== undefined) return known
    const path = `${directory}/${tree.names[entry]}.new`
    const file = openSync(path, 'wx', statOf(tree, entry, field.mode) & 0o777)
    open.set(entry, file)
    return file
  }
  const fd = openSync(pack, 'r')
  const stored = Buffer.allocUnsafeSlow(FRAME_ROOM)
  for (const frame of tree.frames) {
    const pieces = frame.pieces.filter(({ entry }) => wanted.has(entry))
    if (pieces.length === 0) continue
    const raw = readFrame(fd, frame, stored)
    for (const piece of pieces)
      writeSync(openTemporary(piece.entry), checkPiece(raw, piece), 0, piece.length, piece.position)
  }
  closeSync(fd)
  for (const [entry, file] of open) {
    const seconds = statOf(tree, entry, field.mtimeMs) / 1000
    futimesSync(file, seconds, seconds)
    closeSync(file)
    const path = `${directory}/${tree.names[entry]}`
    renameSync(`${path}.new`, path)
  }
}
