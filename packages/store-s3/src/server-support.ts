import { MAX_KEY_BYTES, type StoreCapabilities } from '@ws/core'
import type { ListOrder } from './list-objects.ts'
import type { ConditionSupport } from './put-object.ts'

/** What is known of the service behind a store. */
export interface ServerSupport {
  readonly ifAbsent: ConditionSupport
  readonly ifMatch: ConditionSupport
  readonly rangeReads: boolean
  readonly metadata: boolean
  readonly listOrder: ListOrder
}

/** Before anybody has looked. */
export function assumedSupport(conditions: 'enforced' | 'unknown'): ServerSupport {
  return { ifAbsent: conditions, ifMatch: conditions, rangeReads: true, metadata: true, listOrder: 'unknown' }
}

export function toCapabilities(support: ServerSupport, maxKeyBytes: number): StoreCapabilities {
  return {
    createIfAbsent: support.ifAbsent === 'enforced' ? 'atomic' : 'checked',
    replaceIfMatch: support.ifMatch === 'enforced' ? 'atomic' : 'checked',
    rangeReads: support.rangeReads,
    metadata: support.metadata,
    signedUrls: true,
    remote: true,
    ...(maxKeyBytes === MAX_KEY_BYTES ? {} : { maxKeyBytes }),
  }
}
