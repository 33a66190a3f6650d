import crypto, { createHash } from 'node:crypto'
import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { constants as zlibConstants, inflateSync } from 'node:zlib'
import { listNames } from './own-objects.ts'
import { parsePackIndex, type PackIndex } from './pack-index.ts'
import { readPackEntryHead, readPackNumber } from './pack-entry.ts'
import type { PrivateRepository } from './private-repository.ts'
import { readRegularFile } from './read-regular-file.ts'
import { idBytesOf, type ObjectFormat } from './object-format.ts'

interface StoredObject {
  readonly type: string
  readonly content: Buffer
}

/** @returns `null` for what is not there, is large, or is not plain and whole: then git is to be asked */
export type ObjectReader = (id: string) => StoredObject | null

/** What a process of git costs in time is worth no more than this. */
const MAX_OBJECT_BYTES = 1 << 20
/** The index of some 250,000 objects. */
const MAX_INDEX_BYTES = 8 << 20
const MAX_DELTAS = 64
const FIRST_READ_BYTES = 4096
const types = ['', 'commit', 'tree', 'blob', 'tag']

/**
 * Reads single objects of an object directory, loose ones and those in packs, without a process of git: its start takes
 * longer than all that a small rollback reads. What is returned has been hashed and is what its id says, whoever wrote the
 * files. The packs are those that are there at the first call.
 */
export function objectReader(objectsDirectory: string, format: ObjectFormat): ObjectReader {
  const idBytes = idBytesOf(format)
  let packs: readonly OpenPack[] | null = null
  const read = (id: string, deltas: number): StoredObject | null => {
    const loose = readRegularFile(join(objectsDirectory, id.slice(0, 2), id.slice(2)), {
      maxBytes: MAX_OBJECT_BYTES,
    })
    if (loose !== null) return parseLoose(loose)
    for (const pack of (packs ??= openPacks(join(objectsDirectory, 'pack'), idBytes))) {
      const offset = pack.index.offsetOf(id)
      if (offset !== null) return readPacked(pack, offset, deltas)
    }
    return null
  }
  const readPacked = (pack: OpenPack, offset: number, deltas: number): StoredObject | null => {
    const entry = readEntry(pack.path, offset, idBytes)
    if (entry === null || deltas > MAX_DELTAS) return null
    const { kind, content, base } = entry
    if (base === null) return { type: types[kind] ?? '', content }
    const under =
      typeof base === 'string' ? read(base, deltas + 1) : readPacked(pack, offset - base, deltas + 1)
    return under && { type: under.type, content: applyDelta(under.content, content) }
  }
  return (id) => {
    try {
      const object = read(id, 0)
      return object !== null && hashOf(object, format) === id ? object : null
    } catch {
      // Damage is found, and told, by git.
      return null
    }
  }
}

/** Of the private repository. */
export function ownObjectReader({ directory, format }: PrivateRepository): ObjectReader {
  return objectReader(join(directory, 'objects'), format)
}

interface OpenPack {
  readonly path: string
  readonly index: PackIndex
}

function openPacks(directory: string, idBytes: number): OpenPack[] {
  const names = listNames(directory).filter((name) => /^pack-[0-9a-f]+\.idx$/.test(name))
  return names.flatMap((name) => {
    const index = join(directory, name)
    const bytes = readRegularFile(index, { maxBytes: MAX_INDEX_BYTES, followLink: true })
    const path = index.replace(/idx$/, 'pack')
    return bytes === null ? [] : [{ path, index: parsePackIndex(bytes, index, 0, idBytes) }]
  })
}

function hashOf({ type, content }: StoredObject, format: string): string {
  const header = `${type} ${content.length}\0`
  if (content.length === 0) return crypto.hash(format, header)
  return createHash(format).update(header).update(content).digest('hex')
}

/** `blob 12`, a zero byte, and the content; all of it compressed. */
function parseLoose(compressed: Buffer): StoredObject {
  const whole = inflateSync(compressed, { maxOutputLength: MAX_OBJECT_BYTES })
  const end = whole.indexOf(0)
  const [type = ''] = whole.toString('latin1', 0, end).split(' ')
  return { type, content: whole.subarray(end + 1) }
}

interface PackEntry {
  readonly kind: number
  readonly content: Buffer
  /** Of a delta: how far back in the pack its base is, or the id of it. */
  readonly base: number | string | null
}

function readEntry(path: string, offset: number, idBytes: number): PackEntry | null {
  const file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
  try {
    if (offset < 0 || !fstatSync(file).isFile()) return null
    let bytes = readAt(file, offset, FIRST_READ_BYTES)
    const { kind, size, base, next } = readPackEntryHead(bytes, idBytes)
    if (size > MAX_OBJECT_BYTES) return null
    // What cannot be compressed takes a little more than it is.
    const mostBytes = next + size + (size >> 8) + 64
    if (mostBytes > bytes.length) bytes = readAt(file, offset, mostBytes)
    const content = inflateSync(bytes.subarray(next), {
      finishFlush: zlibConstants.Z_SYNC_FLUSH,
      chunkSize: Math.max(size + 1, 64),
      maxOutputLength: size + 1,
    })
    return content.length === size ? { kind, content, base } : null
  } finally {
    closeSync(file)
  }
}

function readAt(file: number, offset: number, length: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  return bytes.subarray(0, readSync(file, bytes, 0, length, offset))
}

/** gitformat-pack: the sizes of base and result, then pieces to copy from the base and pieces that are in the delta. */
function applyDelta(base: Buffer, delta: Buffer): Buffer {
  const before = readPackNumber(delta, 0, 7)
  const after = readPackNumber(delta, before.next, 7)
  if (before.value !== base.length || after.value > MAX_OBJECT_BYTES) throw new RangeError('not of this base')
  const result = Buffer.alloc(after.value)
  let to = 0
  for (let at = after.next; at < delta.length;) {
    const code = delta[at++] ?? 0
    let from = 0
    let length = code & 127
    if ((code & 128) !== 0) {
      length = 0
      for (let bit = 0; bit < 7; bit += 1) {
        if ((code & (1 << bit)) === 0) continue
        const byte = delta[at++] ?? 0
        if (bit < 4) from += byte * 2 ** (bit * 8)
        else length += byte * 2 ** ((bit - 4) * 8)
      }
      length ||= 0x10000
    } else from = at
    const source = (code & 128) !== 0 ? base : delta
    if ((code & 128) === 0) at += length
    to += source.copy(result, to, from, from + length)
  }
  return result
}
