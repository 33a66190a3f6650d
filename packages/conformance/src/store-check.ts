import { Buffer } from 'node:buffer'
import { MAX_KEY_BYTES, type ObjectStore, type StoreCapabilities } from '@ws/core'
import type { FixtureName } from './store-fixtures.ts'

/** One clause of the `ObjectStore` contract as something that can be run. It needs no test runner. */
export interface StoreCheck {
  /** A sentence about behaviour; unique. */
  readonly name: string
  /** The claim without which the clause does not apply. @default none: it applies to every store */
  readonly needs?: StoreNeed
  /** The store in trouble that the check looks at. @default none */
  readonly fixture?: FixtureName
  /** Rejects (with an `AssertionError` of `node:assert`, or the store's own error) when the store breaks the clause. */
  readonly run: (context: CheckContext) => Promise<void>
}

/** What a store must claim in its `capabilities`; nothing else can make a check skip. */
export type StoreNeed =
  | 'createIfAbsent'
  | 'createIfAbsent: atomic'
  | 'replaceIfMatch'
  | 'replaceIfMatch: atomic'
  | 'rangeReads'
  | 'metadata'
  | 'signedUrls'
  | 'checksummedUploads'

export interface CheckContext {
  readonly store: ObjectStore
  /** The store of the check's fixture. A check without one gets the sound store. */
  readonly troubled: ObjectStore
  /** Strings that no error may repeat, such as keys and tokens. */
  readonly secrets: readonly string[]
  /** After so long a call that should have ended counts as stuck. */
  readonly stuckAfterMs: number
  /** Tells what was measured; it goes into the report. */
  readonly measured: (name: string, value: number) => void
  /** What all keys of this check start with: nobody else's keys do. Ends with `/`. */
  readonly prefix: string
  /** A key below the prefix. */
  readonly key: (name: string) => string
  /** The longest key that the store claims to take, in bytes. */
  readonly maxKeyBytes: number
  /** The most segments that the store claims to take in one key. */
  readonly maxKeySegments: number
}

const STUCK_AFTER_MS = 10_000

export function createCheckContext(
  store: ObjectStore,
  prefix: string,
  given: Partial<Pick<CheckContext, 'troubled' | 'secrets' | 'stuckAfterMs' | 'measured'>> = {},
): CheckContext {
  const { troubled = store, secrets = [], stuckAfterMs = STUCK_AFTER_MS, measured = () => undefined } = given
  return {
    store,
    troubled,
    secrets,
    stuckAfterMs,
    measured,
    prefix,
    key: (name) => prefix + name,
    maxKeyBytes: store.capabilities.maxKeyBytes ?? MAX_KEY_BYTES,
    maxKeySegments: store.capabilities.maxKeySegments ?? MAX_KEY_BYTES,
  }
}

/** A legal key of exactly this many bytes. */
export function keyOfLength(start: string, bytes: number): string {
  return start + 'k'.repeat(bytes - Buffer.byteLength(start))
}

/** Whether the store claims what a check needs; one that does not is skipped. */
export function meetsNeed(capabilities: StoreCapabilities, need: StoreNeed | undefined): boolean {
  switch (need) {
    case undefined:
      return true
    case 'createIfAbsent':
    case 'replaceIfMatch':
      return capabilities[need] !== false
    case 'createIfAbsent: atomic':
      return capabilities.createIfAbsent === 'atomic'
    case 'replaceIfMatch: atomic':
      return capabilities.replaceIfMatch === 'atomic'
    case 'checksummedUploads':
      return capabilities.checksummedUploads !== false
    case 'rangeReads':
    case 'metadata':
    case 'signedUrls':
      return capabilities[need]
  }
}
