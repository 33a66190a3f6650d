import { createHash } from 'node:crypto'
import { compareBytes, type BytePath } from '../../byte-path.ts'
import { lstatOrNull } from '../table/file-stamp.ts'
import { findIndexRows } from './find-index-rows.ts'
import { indexEntryAt, selectRows, type IndexEntry, type IndexRows } from '../table/index-rows.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import { idBytesOf, type ObjectFormat } from '../private/object-format.ts'

export interface UserIndex {
  /** Without the places of other repositories. */
  readonly rows: IndexRows
  readonly paths: readonly BytePath[]
  /** Where other repositories are. */
  readonly gitlinks: readonly BytePath[]
  /** Ids of trees that git has made from it; some may be in no repository any more. */
  readonly trees: readonly string[]
}

const MAX_INDEX_BYTES = 1 << 30

/**
 * Reads an index file (versions 2 to 4) without git, so that no configuration, lock or refresh is involved.
 * @returns `null` when it needs git to be read: split or sparse, of an unknown version, or not whole.
 */
export function readUserIndex(file: string | Buffer, format: ObjectFormat): UserIndex | null {
  const writtenAt = lstatOrNull(file)?.mtimeNs ?? 0n
  const bytes = readRegularFile(file, { maxBytes: MAX_INDEX_BYTES, followLink: true, isShared: true })
  // What is no file is no index; git would wait for a pipe's other end.
  if (bytes === null) return lstatOrNull(file)?.isFile() === true ? null : noIndex(format)
  try {
    return parseIndex(bytes, format, writtenAt)
  } catch (error) {
    // Without a checksum in it, a file that is no whole index shows only by what it says.
    if (error instanceof RangeError) return null
    throw error
  }
}

/** Whether a file is an index that was written to its end; something may have cut it, or rewrite it in place. */
export function isWholeIndex(file: string | Buffer, format: ObjectFormat): boolean {
  const bytes = readRegularFile(file, { maxBytes: MAX_INDEX_BYTES, followLink: true })
  const end = (bytes?.length ?? 0) - idBytesOf(format)
  return bytes !== null && end >= 12 && isWhole(bytes, end, format)
}

export function parseIndex(bytes: Buffer, format: ObjectFormat, indexWrittenAtNs: bigint): UserIndex | null {
  const idBytes = idBytesOf(format)
  const end = bytes.length - idBytes
  const version = end < 12 || bytes.toString('latin1', 0, 4) !== 'DIRC' ? 0 : bytes.readUInt32BE(4)
  if (version < 2 || version > 4 || !isWhole(bytes, end, format)) return null
  const found = findIndexRows(bytes, { end, idBytes, version })
  if (found === null) return null
  const extensions = readExtensions(bytes, found.next, end)
  if (extensions.some(({ name }) => name === 'link' || name === 'sdir')) return null
  const trees = extensions.find(({ name }) => name === 'TREE')
  const rows = { bytes, idBytes, writtenAtNs: indexWrittenAtNs, ...found }
  return {
    ...inOrder(rows, found.paths, new Set(found.gitlinks)),
    trees: trees === undefined ? [] : readTreeIds(trees.content, idBytes),
  }
}

function noIndex(format: ObjectFormat): UserIndex {
  const none = {
    bytes: new Uint8Array(),
    starts: new Uint32Array(),
    text: new Uint8Array(),
    ends: new Uint32Array(),
  }
  const rows = { ...none, idBytes: idBytesOf(format), writtenAtNs: 0n }
  return { rows, paths: [], gitlinks: [], trees: [] }
}

/** git writes them in order, each path once; whoever does not must not get us to miss some, or to look at other places. */
function inOrder(
  rows: IndexRows,
  paths: readonly BytePath[],
  gitlinks: ReadonlySet<number>,
): Pick<UserIndex, 'rows' | 'paths' | 'gitlinks'> {
  const isPlain = paths.every((path, row) => (row === 0 || (paths[row - 1] ?? '') < path) && !leadsOut(path))
  if (isPlain && gitlinks.size === 0) return { rows, paths, gitlinks: [] }
  const chosen = new Map<BytePath, number>()
  const links: BytePath[] = []
  for (const [row, path] of paths.entries()) {
    if (leadsOut(path)) continue
    if (gitlinks.has(row)) links.push(path)
    else chosen.set(path, row)
  }
  const sorted = [...chosen].toSorted(([left], [right]) => compareBytes(left, right))
  const inside = sorted.map(([path]) => path)
  return {
    rows: selectRows(
      rows,
      sorted.map(([, row]) => row),
      inside,
    ),
    paths: inside,
    gitlinks: links,
  }
}

/** No git writes such a path; whoever did wants us to look at other places. */
function leadsOut(path: BytePath): boolean {
  return path.startsWith('/') || (path.includes('..') && path.split('/').includes('..'))
}

/** All that it names, in order; without other repositories. */
export function entriesOf({ rows, paths }: UserIndex): IndexEntry[] {
  return paths.map((path, row) => indexEntryAt(rows, row, path))
}

/** The trailer proves that the file was read whole; all zeros when git was told to leave it out. */
function isWhole(bytes: Buffer, end: number, format: ObjectFormat): boolean {
  const trailer = bytes.subarray(end)
  if (trailer.every((byte) => byte === 0)) return true
  return createHash(format).update(bytes.subarray(0, end)).digest().equals(trailer)
}

interface Extension {
  readonly name: string
  readonly content: Buffer
}

/** `link`: most entries are in another file. `sdir`: some entries are directories. `TREE`: trees that git has made. */
function readExtensions(bytes: Buffer, start: number, end: number): Extension[] {
  const found: Extension[] = []
  let position = start
  while (position + 8 <= end) {
    const name = bytes.toString('latin1', position, position + 4)
    const length = bytes.readUInt32BE(position + 4)
    found.push({ name, content: bytes.subarray(position + 8, position + 8 + length) })
    position += 8 + length
  }
  return found
}

/** For each directory: its name, a zero byte, `entries subtrees` in decimal and, where it is known, the tree's id. */
function readTreeIds(content: Buffer, idBytes: number): string[] {
  const ids: string[] = []
  for (let position = 0; position < content.length;) {
    const nameEnd = content.indexOf(0, position)
    const lineEnd = nameEnd === -1 ? -1 : content.indexOf(10, nameEnd)
    if (lineEnd === -1) break
    position = lineEnd + 1
    if (content[nameEnd + 1] === 0x2d) continue
    ids.push(content.toString('hex', position, position + idBytes))
    position += idBytes
  }
  return ids
}
