import type { ObjectStore } from '../../store/object-store.ts'
import { damagedObject } from './damaged-object.ts'

/**
 * Bytes `start` up to `end` of an object, also from a store that cannot read ranges. Each part is valid until the next one
 * is asked for.
 * @param isWhole whether the object ends at `end`
 * @throws `CORRUPT` when the object is not there or shorter, or goes on where it should end
 */
export async function* readObjectRange(
  store: ObjectStore,
  key: string,
  { start, end, isWhole = false }: { start: number; end: number; isWhole?: boolean },
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const name = `object ${JSON.stringify(key)}`
  const hasRanges = store.capabilities.rangeReads
  const object = await getInRange(store, key, hasRanges ? { start, end } : undefined, signal)
  if (object === null) throw damagedObject(name, 'it is not there')
  try {
    const { size } = object.info
    if (isWhole && size !== end) throw damagedObject(name, `it has ${size} bytes instead of ${end}`)
    if (size < end) throw damagedObject(name, `it has ${size} bytes instead of ${end} or more`)
    let position = hasRanges ? start : 0
    for await (const part of object.body) {
      signal?.throwIfAborted()
      const from = Math.max(0, start - position)
      const to = Math.min(part.length, end - position)
      position += part.length
      if (to > from) yield part.subarray(from, to)
      // The body of a range ends by itself, and a connection whose body was read to its end can be used again.
      if (position >= end && !hasRanges) break
    }
    if (position < end) throw damagedObject(name, 'it ended early')
  } finally {
    await object.discard()
  }
}

async function getInRange(
  store: ObjectStore,
  key: string,
  range: { readonly start: number; readonly end: number } | undefined,
  signal: AbortSignal | undefined,
) {
  try {
    return await store.get(key, { range, signal, reusesChunks: true })
  } catch (error) {
    // A range past the end: the object is shorter than it was written.
    if (range === undefined || !isPastEnd(error)) throw error
    throw damagedObject(`object ${JSON.stringify(key)}`, 'it is shorter than it was written', error)
  }
}

function isPastEnd(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'INVALID_INPUT'
}
