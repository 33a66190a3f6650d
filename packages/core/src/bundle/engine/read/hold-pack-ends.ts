import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../../errors.ts'
import { bindStore } from '../../../store/bind-store.ts'
import type { ObjectInfo, StoredObject } from '../../../store/object-store.ts'
import type { PackReference, VersionStats } from '../../format/version-record.ts'
import { PACK_BYTES } from '../repository/content-packer.ts'
import type { Repository } from '../repository/repository.ts'

/** Reading over so much costs less than another request; a save of a few edits makes a pack of that size. */
const MAX_SMALL_BYTES = 256 * 1024
/** More than this is not held, but read in ranges as the others. */
const MAX_HELD_BYTES = 8 * 1024 * 1024
/** A larger tree takes a request of its own. */
const MAX_TREE_BYTES = 2 * 1024 * 1024
/** What an entry, and a run of a large file, takes in a tree node that is compressed: mostly its id. */
const BYTES_PER_ENTRY = 80
const CONTENT_PER_TREE_BYTE = 4096

/** What is held of a pack: from `start` to its end. */
interface PackEnd {
  readonly start: number
  readonly size: number
}

interface HeldEnd extends PackEnd {
  readonly info: ObjectInfo
  readonly bytes: Buffer
}

/**
 * For a load that needs most of a version: the first range that is wanted of the end of a pack brings all of that end. Of a
 * small pack it is all of it, so that its index, its part of the tree and its contents take one request and not three, one
 * behind the other: a version that many small saves have made lies in several such packs. With `treeBytes`, of the last
 * pack of each save it is what the tree takes, which lies before the index.
 *
 * A range that is asked for again, or a part of one, is read from the store again: what was held may be what is damaged.
 * An end that cannot be read as a whole is read in ranges, since damage elsewhere in it need not matter.
 */
export function holdPackEnds(
  repository: Repository,
  packs: readonly PackReference[],
  treeBytes = 0,
): Repository {
  const { store } = repository
  const ends = new Map<string, PackEnd>()
  for (const pack of packs) {
    const start = startOfEnd(pack, treeBytes)
    if (start !== null) ends.set(repository.packKey(pack.id), { start, size: pack.bytes })
  }
  if (ends.size === 0 || !store.capabilities.rangeReads) return repository
  const held = new Map<string, Promise<HeldEnd | null>>()
  const given = new Map<string, readonly { readonly start: number; readonly stop: number }[]>()
  let heldBytes = 0

  const hold = (key: string, end: PackEnd, signal: AbortSignal | undefined): Promise<HeldEnd | null> => {
    heldBytes += end.size - end.start
    const reading = readEnd(repository, key, end, signal)
    held.set(key, reading)
    // An outage is told to whoever asked; the next one asks anew.
    reading.catch(() => held.delete(key))
    return reading
  }
  const get: Repository['store']['get'] = async (key, options = {}) => {
    const { range, signal } = options
    const end = ends.get(key)
    if (end === undefined || range === undefined || range.start < end.start) return store.get(key, options)
    const { start, end: stop = end.size } = range
    const before = given.get(key) ?? []
    if (before.some((part) => start < part.stop && part.start < stop)) return store.get(key, options)
    const isFull = !held.has(key) && heldBytes + end.size - end.start > MAX_HELD_BYTES
    if (isFull) return store.get(key, options)
    given.set(key, [...before, { start, stop }])
    const there = await (held.get(key) ?? hold(key, end, signal))
    return there === null || stop > end.size ? store.get(key, options) : partOf(there, start, stop)
  }
  return { ...repository, store: { ...bindStore(store), get } }
}

/** How much the tree of a version takes in its packs, at most and about; 0 for one that is not worth holding. */
export function estimateTreeBytes(stats: VersionStats): number {
  const entries = stats.files + stats.directories + stats.symlinks
  const bytes = Math.ceil(entries * BYTES_PER_ENTRY + stats.contentBytes / CONTENT_PER_TREE_BYTE)
  return bytes <= MAX_TREE_BYTES ? bytes : 0
}

/** `null`: nothing of it is held. */
function startOfEnd({ bytes, indexBytes }: PackReference, treeBytes: number): number | null {
  if (bytes <= MAX_SMALL_BYTES) return 0
  // Those that a save has filled have others after them, and the tree is in the last one.
  if (treeBytes === 0 || bytes >= PACK_BYTES) return null
  const start = bytes - indexBytes - treeBytes
  return start <= MAX_SMALL_BYTES ? 0 : start
}

/** @returns `null` when it is not there, not as long as it was written, or damaged somewhere */
async function readEnd(
  { store }: Repository,
  key: string,
  { start, size }: PackEnd,
  signal: AbortSignal | undefined,
): Promise<HeldEnd | null> {
  try {
    const range = start === 0 ? undefined : { start, end: size }
    const object = await store.get(key, { range, signal, reusesChunks: true })
    if (object === null) return null
    const bytes = Buffer.allocUnsafe(size - start)
    let length = 0
    try {
      if (object.info.size !== size) return null
      for await (const part of object.body) {
        if (length + part.length > bytes.length) return null
        bytes.set(part, length)
        length += part.length
      }
    } finally {
      await object.discard()
    }
    return length === bytes.length ? { start, size, info: object.info, bytes } : null
  } catch (error) {
    // A range past the end, too: it is shorter than it was written.
    if (WorkspaceError.is(error, 'CORRUPT') || WorkspaceError.is(error, 'INVALID_INPUT')) return null
    throw error
  }
}

function partOf({ start: from, info, bytes }: HeldEnd, start: number, end: number): StoredObject {
  const body = (async function* () {
    yield bytes.subarray(start - from, end - from)
  })()
  return { info, body, discard: () => Promise.resolve() }
}
