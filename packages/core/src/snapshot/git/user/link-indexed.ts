import { linkObjects } from '../private/adopt-objects.ts'
import { openOwnObjects, type OwnObjects } from '../private/own-objects.ts'
import type { PrivateRepository } from '../private/private-repository.ts'
import type { UserRepository } from './repository-layout.ts'
import { idBytesOf } from '../private/object-format.ts'

/** What linking an index's blobs has come to. */
export interface LinkedBlobs {
  /** What the private repository has, at least. */
  readonly held: OwnObjects
  /** Whether the two directories can share files. */
  readonly canLink: boolean
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
): LinkedBlobs {
  const wanted = { among: (others: ReadonlySet<string>) => idsAmong(ids, idBytesOf(own.format), others) }
  const canLink = linkObjects(own, user.objectsDirectory, { wanted, useful })
  return { held: openOwnObjects(own), canLink }
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
