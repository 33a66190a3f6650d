import { Buffer } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { readBytes, type ByteReader } from './byte-reader.ts'
import { contentIdOf, type ContentId } from './content-id.ts'
import { damagedObject } from './damaged-object.ts'
import type { RepositoryKeys } from './repository-keys.ts'
import { writeInt64, writeUint64 } from './write-fields.ts'
import { decodeRunList, readRun, runBytes, writeRun, type NewChunk, type Run } from './tree-runs.ts'

export type { Run } from './tree-runs.ts'

/** One entry of a directory. Names are byte strings: one character for each byte. */
export type TreeEntry = FileEntry | DirectoryEntry | SymlinkEntry

export interface EntryFacts {
  /** One path component: not empty, no `/`, no NUL, not `.` or `..`; at most 65,535 bytes. */
  readonly name: ByteString
  /** The 12 permission bits. */
  readonly mode: number
  /** Since 1970, negative before. */
  readonly mtimeSeconds: number
  /** 0 to 999,999,999, forward from `mtimeSeconds`. */
  readonly mtimeNanoseconds: number
}

export interface FileEntry extends EntryFacts {
  readonly type: 'file'
  readonly size: number
  /** Equal and not 0n for the names of one hard-linked file. */
  readonly hardLinkGroup: bigint
  /** Their lengths add up to `size`. */
  readonly runs: readonly Run[]
}

export interface DirectoryEntry extends EntryFacts {
  readonly type: 'directory'
  readonly node: ContentId
  /** Entries of every kind in it and below it. */
  readonly entriesBelow: number
  readonly contentBytesBelow: number
}

export interface SymlinkEntry extends EntryFacts {
  readonly type: 'symlink'
  /** The text of the link, as it is. */
  readonly target: ByteString
}

/** A part of a directory that is too large for one node: the id of a node of entries. */
interface TreeSegment {
  readonly id: ContentId
  readonly entries: number
}

/** A node holds a directory's entries, or says which nodes (of entries) they are spread over. */
export type TreeNode =
  | { readonly kind: 'entries'; readonly entries: readonly TreeEntry[] }
  | { readonly kind: 'segments'; readonly segments: readonly TreeSegment[] }

/** Reads a chunk and checks its id. */
export type ReadChunk = (id: ContentId) => Promise<Uint8Array>

const ENTRIES_MAGIC = Buffer.from('WSTREE1\n', 'latin1')
const SEGMENTS_MAGIC = Buffer.from('WSTREES\n', 'latin1')
const FILE = 1
const DIRECTORY = 2
const SYMLINK = 3

/** A directory of at most this many entries is one node. */
const MAX_NODE_ENTRIES = 4096
const MAX_NODE_BYTES = 1024 * 1024
const MIN_SEGMENT_ENTRIES = 256

/** The nodes of a directory, its own one last. @param sorted by name, no two alike */
export function encodeDirectory(
  sorted: readonly TreeEntry[],
  keys: RepositoryKeys | null,
): readonly [...NewChunk[], NewChunk] {
  const total = sorted.reduce((sum, entry) => sum + entryBytes(entry), 0)
  if (sorted.length <= MAX_NODE_ENTRIES && total <= MAX_NODE_BYTES) {
    return [chunkOf(encodeTreeNode(sorted), keys)]
  }
  const parts: NewChunk[] = []
  const rows: Buffer[] = []
  for (const segment of cutSegments(sorted)) {
    const part = chunkOf(encodeTreeNode(segment), keys)
    const row = Buffer.alloc(36)
    row.write(part.id, 0, 32, 'hex')
    row.writeUInt32LE(segment.length, 32)
    parts.push(part)
    rows.push(row)
  }
  const count = Buffer.alloc(4)
  count.writeUInt32LE(rows.length)
  return [...parts, chunkOf(Buffer.concat([SEGMENTS_MAGIC, count, ...rows]), keys)]
}

/** @param sorted by name, no two alike */
export function encodeTreeNode(sorted: readonly TreeEntry[]): Buffer {
  const size = sorted.reduce((sum, entry) => sum + entryBytes(entry), ENTRIES_MAGIC.length + 4)
  const bytes = Buffer.allocUnsafe(size)
  let position = ENTRIES_MAGIC.copy(bytes)
  position = bytes.writeUInt32LE(sorted.length, position)
  for (const entry of sorted) position = writeEntry(bytes, position, entry)
  return bytes
}

/** @throws `CORRUPT` for anything but what `encodeDirectory` makes */
export function decodeTreeNode(bytes: Uint8Array, id: ContentId): TreeNode {
  const reader = readBytes(bytes, `tree node ${id}`)
  const magic = reader.bytes(8)
  if (magic.equals(SEGMENTS_MAGIC)) {
    const count = reader.uint32()
    const segments: TreeSegment[] = []
    for (let index = 0; index < count; index += 1)
      segments.push({ id: reader.hex(32), entries: reader.uint32() })
    reader.end()
    return { kind: 'segments', segments }
  }
  if (!magic.equals(ENTRIES_MAGIC)) reader.fail('it does not begin as it should')
  const count = reader.uint32()
  const entries: TreeEntry[] = []
  let last = ''
  for (let index = 0; index < count; index += 1) {
    const entry = readEntry(reader)
    if (entry.name <= last) reader.fail('its names are not in order')
    last = entry.name
    entries.push(entry)
  }
  reader.end()
  return { kind: 'entries', entries }
}

/** The entries of a directory in byte order of their names, whichever way its node holds them. @throws `CORRUPT` */
export async function* readDirectoryEntries(
  node: ContentId,
  readChunk: ReadChunk,
): AsyncGenerator<TreeEntry, void, void> {
  for await (const entries of readDirectoryParts(node, readChunk)) yield* entries
}

/** The same as they are stored together: a turn for each entry would take longer than to read it. @throws `CORRUPT` */
export async function* readDirectoryParts(
  node: ContentId,
  readChunk: ReadChunk,
): AsyncGenerator<readonly TreeEntry[], void, void> {
  const top = decodeTreeNode(await readChunk(node), node)
  if (top.kind === 'entries') {
    yield top.entries
    return
  }
  let last = ''
  for (const segment of top.segments) {
    const part = decodeTreeNode(await readChunk(segment.id), segment.id)
    if (part.kind !== 'entries' || part.entries.length !== segment.entries) {
      throw damagedObject(`tree node ${node}`, `its part ${segment.id} is not what it says`)
    }
    const first = part.entries[0]?.name
    if (first === undefined || first <= last) {
      throw damagedObject(`tree node ${node}`, 'its names are not in order')
    }
    last = part.entries.at(-1)?.name ?? last
    yield part.entries
  }
}

/** The runs of a file with its lists opened: chunks and zeros only. @throws `CORRUPT` */
export async function* readRuns(
  file: Pick<FileEntry, 'runs'>,
  readChunk: ReadChunk,
): AsyncGenerator<Run, void, void> {
  for (const run of file.runs) {
    if (run.kind === 'list') yield* decodeRunList(await readChunk(run.id), run)
    else yield run
  }
}

/** Parts end after a name whose id says so, so that the parts before and after a new name stay the same. */
function* cutSegments(sorted: readonly TreeEntry[]): Generator<readonly TreeEntry[], void, void> {
  let start = 0
  let bytes = 0
  for (let index = 0; index < sorted.length; index += 1) {
    const entry = sorted[index]
    if (entry === undefined) break
    bytes += entryBytes(entry)
    const count = index + 1 - start
    const isCut = count >= MIN_SEGMENT_ENTRIES && cutsAfter(entry.name)
    if (isCut || count >= MAX_NODE_ENTRIES || bytes > MAX_NODE_BYTES || index === sorted.length - 1) {
      yield sorted.slice(start, index + 1)
      start = index + 1
      bytes = 0
    }
  }
}

/** One name in 1,024. Only the cost of a save depends on it, so no key is needed. */
function cutsAfter(name: ByteString): boolean {
  return /[048c]00$/.test(contentIdOf(Buffer.from(name, 'latin1'), null))
}

function chunkOf(content: Buffer, keys: RepositoryKeys | null): NewChunk {
  return { id: contentIdOf(content, keys), content }
}

function entryBytes(entry: TreeEntry): number {
  const facts = 17 + entry.name.length
  if (entry.type === 'directory') return facts + 48
  if (entry.type === 'symlink') return facts + 4 + entry.target.length
  return entry.runs.reduce((sum, run) => sum + runBytes(run), facts + 20)
}

function writeEntry(bytes: Buffer, start: number, entry: TreeEntry): number {
  const type = entry.type === 'file' ? FILE : entry.type === 'directory' ? DIRECTORY : SYMLINK
  let position = bytes.writeUInt8(type, start)
  position = bytes.writeUInt16LE(entry.name.length, position)
  position += bytes.write(entry.name, position, 'latin1')
  position = bytes.writeUInt16LE(entry.mode, position)
  position = writeInt64(bytes, entry.mtimeSeconds, position)
  position = bytes.writeUInt32LE(entry.mtimeNanoseconds, position)
  if (entry.type === 'directory') {
    position += bytes.write(entry.node, position, 32, 'hex')
    position = writeUint64(bytes, entry.entriesBelow, position)
    return writeUint64(bytes, entry.contentBytesBelow, position)
  }
  if (entry.type === 'symlink') {
    position = bytes.writeUInt32LE(entry.target.length, position)
    return position + bytes.write(entry.target, position, 'latin1')
  }
  position = writeUint64(bytes, entry.size, position)
  position = bytes.writeBigUInt64LE(entry.hardLinkGroup, position)
  position = bytes.writeUInt32LE(entry.runs.length, position)
  for (const run of entry.runs) position = writeRun(bytes, position, run)
  return position
}

function readEntry(reader: ByteReader): TreeEntry {
  const type = reader.uint8()
  const name = reader.byteString(reader.uint16())
  if (name === '' || name === '.' || name === '..' || name.includes('/') || name.includes('\0')) {
    reader.fail(`it has the impossible name ${JSON.stringify(name)}`)
  }
  const mode = reader.uint16()
  const mtimeSeconds = reader.int64()
  const mtimeNanoseconds = reader.uint32()
  if (mode > 0o7777) reader.fail(`the mode of ${JSON.stringify(name)} is impossible`)
  if (mtimeNanoseconds >= 1e9) reader.fail(`the time of ${JSON.stringify(name)} is impossible`)
  const facts = { name, mode, mtimeSeconds, mtimeNanoseconds }
  if (type === FILE) return readFile(reader, facts)
  if (type === SYMLINK) {
    const target = reader.byteString(reader.uint32())
    if (target === '' || target.includes('\0')) reader.fail(`the link ${JSON.stringify(name)} is impossible`)
    return { type: 'symlink', ...facts, target }
  }
  if (type !== DIRECTORY) reader.fail(`${JSON.stringify(name)} is of the unknown type ${type}`)
  const node = reader.hex(32)
  return {
    type: 'directory',
    ...facts,
    node,
    entriesBelow: reader.uint64(),
    contentBytesBelow: reader.uint64(),
  }
}

function readFile(reader: ByteReader, facts: EntryFacts): FileEntry {
  const size = reader.uint64()
  const hardLinkGroup = reader.uint64Exactly()
  const runs = readRunsOf(reader, reader.uint32())
  let length = 0
  for (const run of runs) {
    if (run.length === 0) reader.fail(`${JSON.stringify(facts.name)} has an empty run`)
    length += run.length
  }
  if (length !== size) {
    reader.fail(`the runs of ${JSON.stringify(facts.name)} are ${length} bytes long instead of ${size}`)
  }
  const { name, mode, mtimeSeconds, mtimeNanoseconds } = facts
  // There may be millions of these: written out, all fields lie in the object itself.
  return { type: 'file', name, mode, mtimeSeconds, mtimeNanoseconds, size, hardLinkGroup, runs }
}

function readRunsOf(reader: ByteReader, count: number): readonly Run[] {
  // Most files have one, and an array that grows by a push has room for 17.
  if (count === 1) return [readRun(reader)]
  const runs: Run[] = []
  for (let index = 0; index < count; index += 1) runs.push(readRun(reader))
  return runs
}
