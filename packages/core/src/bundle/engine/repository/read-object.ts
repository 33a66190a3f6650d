import { Buffer } from 'node:buffer'
import type { ObjectInfo, ObjectStore } from '../../../store/object-store.ts'
import { damagedObject } from '../../format/damaged-object.ts'

/**
 * A small object as a whole, or `null` when there is none.
 * @throws `CORRUPT` when it is larger than anything that belongs under such a key
 */
export async function readObject(
  store: ObjectStore,
  key: string,
  maxBytes: number,
  signal?: AbortSignal,
): Promise<{ readonly bytes: Uint8Array; readonly info: ObjectInfo } | null> {
  const found = await store.get(key, { signal })
  if (found === null) return null
  const chunks: Uint8Array[] = []
  let length = 0
  try {
    for await (const chunk of found.body) {
      length += chunk.length
      if (length > maxBytes) throw damagedObject(`object ${key}`, `it has more than ${maxBytes} bytes`)
      chunks.push(chunk)
    }
  } finally {
    await found.discard()
  }
  const [first] = chunks
  return {
    bytes: chunks.length === 1 && first !== undefined ? first : Buffer.concat(chunks),
    info: found.info,
  }
}
