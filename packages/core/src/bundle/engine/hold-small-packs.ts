import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../errors.ts'
import { bindStore } from '../../store/bind-store.ts'
import type { ObjectInfo, StoredObject } from '../../store/object-store.ts'
import type { PackReference } from '../format/version-record.ts'
import type { Repository } from './repository.ts'

/** Reading over so much costs less than another request; a save of a few edits makes a pack of that size. */
const MAX_PACK_BYTES = 256 * 1024
/** More packs than this are not held, but read in ranges as the others. */
const MAX_HELD_BYTES = 8 * 1024 * 1024

interface HeldPack {
  readonly info: ObjectInfo
  readonly bytes: Buffer
}

/**
 * For a load that needs most of a version: the first range that is wanted of a small pack brings all of it, so that its
 * index, its part of the tree and its contents take one request and not three, one behind the other. A version that many
 * small saves have made lies in several such packs.
 *
 * A range that is asked for again is read from the store again: what was held may be what is damaged. A pack that cannot
 * be read as a whole is read in ranges, since damage elsewhere in it need not matter.
 */
export function holdSmallPacks(repository: Repository, packs: readonly PackReference[]): Repository {
  const { store } = repository
  const small = new Map<string, number>()
  for (const { id, bytes } of packs) if (bytes <= MAX_PACK_BYTES) small.set(repository.packKey(id), bytes)
  if (small.size === 0 || !store.capabilities.rangeReads) return repository
  const held = new Map<string, Promise<HeldPack | null>>()
  const given = new Set<string>()
  let heldBytes = 0

  const hold = (key: string, size: number, signal: AbortSignal | undefined): Promise<HeldPack | null> => {
    heldBytes += size
    const reading = readWhole(repository, key, size, signal)
    held.set(key, reading)
    // An outage is told to whoever asked; the next one asks anew.
    reading.catch(() => held.delete(key))
    return reading
  }
  const get: Repository['store']['get'] = async (key, options = {}) => {
    const { range, signal } = options
    const size = small.get(key)
    const place = `${key} ${range?.start}`
    if (size === undefined || range === undefined || given.has(place)) return store.get(key, options)
    const isFull = !held.has(key) && heldBytes + size > MAX_HELD_BYTES
    if (isFull) return store.get(key, options)
    given.add(place)
    const pack = await (held.get(key) ?? hold(key, size, signal))
    const { start, end = size } = range
    return pack === null || end > size ? store.get(key, options) : partOf(pack, start, end)
  }
  return { ...repository, store: { ...bindStore(store), get } }
}

/** @returns `null` when it is not there, not as long as it was written, or damaged somewhere */
async function readWhole(
  { store }: Repository,
  key: string,
  size: number,
  signal: AbortSignal | undefined,
): Promise<HeldPack | null> {
  try {
    const object = await store.get(key, { signal })
    if (object === null) return null
    const bytes = Buffer.allocUnsafe(size)
    let length = 0
    try {
      if (object.info.size !== size) return null
      for await (const part of object.body) {
        if (length + part.length > size) return null
        bytes.set(part, length)
        length += part.length
      }
    } finally {
      await object.discard()
    }
    return length === size ? { info: object.info, bytes } : null
  } catch (error) {
    if (WorkspaceError.is(error, 'CORRUPT')) return null
    throw error
  }
}

function partOf({ info, bytes }: HeldPack, start: number, end: number): StoredObject {
  const body = (async function* () {
    yield bytes.subarray(start, end)
  })()
  return { info, body, discard: () => Promise.resolve() }
}
