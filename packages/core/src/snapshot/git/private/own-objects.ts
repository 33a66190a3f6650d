import { closeSync, fstatSync, openSync, readFileSync, readSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import type { PrivateRepository } from './private-repository.ts'
import { idBytesOf } from './object-format.ts'

/** Which objects the private repository holds itself, by its pack indexes and loose files; no process of git is asked. */
export interface OwnObjects {
  has(id: string): boolean
  /** The same of an id in bytes, where it is among others. */
  hasAt(ids: Uint8Array, at: number): boolean
}

const MAGIC = 0xff744f63
const FAN_OUT_AT = 8
const IDS_AT = FAN_OUT_AT + 256 * 4
/** A larger index belongs to a history that is not worth reading for one capture. */
const MAX_INDEX_BYTES = 512 << 20

/** Looks at what is there now. An index that cannot be used counts as empty: its objects are then stored anew. */
export function openOwnObjects({ directory, format }: PrivateRepository): OwnObjects {
  const packs = join(directory, 'objects', 'pack')
  const idBytes = idBytesOf(format)
  const lookups = readdirSync(packs)
    .filter((name) => /^pack-[0-9a-f]+\.idx$/.test(name))
    .map((name) => readLookup(join(packs, name.slice(0, -4)), idBytes))
    .filter((lookup) => lookup !== null)
  const fans = new Set(listNames(join(directory, 'objects')).filter((name) => /^[0-9a-f]{2}$/.test(name)))
  const loose = new Map<string, ReadonlySet<string>>()
  const isLoose = (id: string): boolean => {
    const fan = id.slice(0, 2)
    if (!fans.has(fan)) return false
    let names = loose.get(fan)
    if (names === undefined) loose.set(fan, (names = new Set(listNames(join(directory, 'objects', fan)))))
    return names.has(id.slice(2))
  }
  const isPacked = (ids: Uint8Array, at: number) => {
    for (const lookup of lookups) if (lookup(ids, at)) return true
    return false
  }
  return {
    has: (id) => isPacked(Buffer.from(id, 'hex'), 0) || isLoose(id),
    hasAt: (ids, at) =>
      isPacked(ids, at) || (fans.size > 0 && isLoose(toHex(ids.subarray(at, at + idBytes)))),
  }
}

type Lookup = (ids: Uint8Array, at: number) => boolean

/** The ids are sorted; their first four bytes, as numbers, find one in a few steps. */
function readLookup(path: string, idBytes: number): Lookup | null {
  const index = readIndex(`${path}.idx`)
  if (index === null || index.length < IDS_AT || index.readUInt32BE(0) !== MAGIC) return null
  const count = index.readUInt32BE(IDS_AT - 4)
  if (index.readUInt32BE(4) !== 2 || index.length < IDS_AT + count * (idBytes + 8) + 2 * idBytes) return null
  if (!endsWith(`${path}.pack`, index.subarray(index.length - 2 * idBytes, index.length - idBytes)))
    return null
  const starts = new Uint32Array(count)
  for (let row = 0; row < count; row += 1) starts[row] = index.readUInt32BE(IDS_AT + row * idBytes)
  return (ids, at) => {
    const first = ids[at] ?? 0
    const start =
      ((first << 24) | ((ids[at + 1] ?? 0) << 16) | ((ids[at + 2] ?? 0) << 8) | (ids[at + 3] ?? 0)) >>> 0
    let low = first === 0 ? 0 : index.readUInt32BE(FAN_OUT_AT + (first - 1) * 4)
    const end = index.readUInt32BE(FAN_OUT_AT + first * 4)
    for (let high = end; low < high;) {
      const middle = (low + high) >>> 1
      if ((starts[middle] ?? 0) < start) low = middle + 1
      else high = middle
    }
    for (; low < end && starts[low] === start; low += 1) {
      let same = 0
      for (const from = IDS_AT + low * idBytes; same < idBytes && index[from + same] === ids[at + same];)
        same += 1
      if (same === idBytes) return true
    }
    return false
  }
}

function toHex(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('hex')
}

function readIndex(path: string): Buffer | null {
  const file = openSync(path, 'r')
  try {
    return fstatSync(file).size > MAX_INDEX_BYTES ? null : readFileSync(file)
  } finally {
    closeSync(file)
  }
}

/** A pack ends with its checksum, which its index repeats: one that was cut short is not that pack. */
function endsWith(path: string, checksum: Buffer): boolean {
  let file: number
  try {
    file = openSync(path, 'r')
  } catch {
    return false
  }
  try {
    const end = Buffer.alloc(checksum.length)
    readSync(file, end, 0, end.length, Math.max(fstatSync(file).size - end.length, 0))
    return end.equals(checksum)
  } finally {
    closeSync(file)
  }
}

/** @returns nothing where there is no such directory */
export function listNames(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
