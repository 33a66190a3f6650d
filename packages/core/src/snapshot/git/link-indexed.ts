import { linkObjects } from './adopt-objects.ts'
import { openOwnObjects, type OwnObjects } from './own-objects.ts'
import type { PrivateRepository } from './private-repository.ts'
import type { UserRepository } from './repository-layout.ts'
import { idBytesOf } from './object-format.ts'

/** What the private repository has of an index's blobs. */
export interface IndexedObjects {
  /** What it has, at least. */
  readonly held: OwnObjects
  /** Whether all that the index names is among that. */
  readonly isAllHeld: boolean
}

/**
 * Makes the blobs that an index names our own where that only takes links, before it is known which of them count.
 * @param ids one after the other
 */
export function linkIndexed(
  own: PrivateRepository,
  user: UserRepository,
  ids: Uint8Array,
  useful: readonly string[],
): IndexedObjects {
  const wanted = { among: (others: ReadonlySet<string>) => idsAmong(ids, idBytesOf(own.format), others) }
  linkObjects(own, user.objectsDirectory, { wanted, useful })
  const held = openOwnObjects(own)
  let isAllHeld = true
  for (let at = 0; at < ids.length && isAllHeld; at += idBytesOf(own.format)) isAllHeld = held.hasAt(ids, at)
  return { held, isAllHeld }
}

/** Those of many ids in bytes that are among a few others. */
export function* idsAmong(ids: Uint8Array, idBytes: number, others: ReadonlySet<string>): Generator<string> {
  const starts = new Set<number>()
  for (const id of others) starts.add(Number.parseInt(id.slice(0, 8), 16))
  const view = new DataView(ids.buffer, ids.byteOffset, ids.length)
  for (let at = 0; at < ids.length; at += idBytes) {
    if (!starts.has(view.getUint32(at))) continue
    const id = idAt(ids, at / idBytes, idBytes)
    if (others.has(id)) yield id
  }
}

export function idAt(ids: Uint8Array, row: number, idBytes: number): string {
  return Buffer.from(ids.buffer, ids.byteOffset, ids.length).toString(
    'hex',
    row * idBytes,
    (row + 1) * idBytes,
  )
}
