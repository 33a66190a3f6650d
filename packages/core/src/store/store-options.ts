import { Buffer } from 'node:buffer'
import type { OptionCheck } from '../option-checks.ts'
import { MAX_KEY_BYTES, assertObjectKey } from './object-key.ts'
import type { ObjectStore } from './object-store.ts'
import { withPrefix } from './with-prefix.ts'

// For adapters: what their options have in common.

/** More would leave too little for keys. */
const MAX_PREFIX_BYTES = MAX_KEY_BYTES / 2

/** What all keys of a store begin with: segments of a key, a `/` behind them or not; empty for none. */
export const isStorePrefix: OptionCheck = (value) =>
  value === '' || (typeof value === 'string' && isFolder(value))
    ? null
    : `segments of a key, such as "team/agents": none empty, "." or "..", no backslash or control character, at most ${MAX_PREFIX_BYTES} bytes`

/** What no service takes in the name of a bucket or container, or would take for a part of another path. */
export const isBucketName: OptionCheck = (value) =>
  typeof value === 'string' && /^(?!\.{1,2}$)[^/\\\p{Cc}\p{Cs}]+$/u.test(value)
    ? null
    : 'the name of a bucket, without "/"'

/** Where a service is. What else a URL can hold would get into addresses of objects, or is a secret in the wrong place. */
export const isServiceUrl: OptionCheck = (value) => {
  const wanted = 'an http: or https: URL without credentials and query, such as http://127.0.0.1:9000'
  if (typeof value !== 'string' || !URL.canParse(value)) return wanted
  const { protocol, username, password, search, hash } = new URL(value)
  return /^https?:$/.test(protocol) && username + password + search + hash === '' ? null : wanted
}

/** The first of these environment variables that holds something: tools set what they do not know to nothing. */
export function fromEnvironment(...names: readonly string[]): string | undefined {
  return names.map((name) => process.env[name]).find((value) => value !== undefined && value !== '')
}

/** The part of a store below the prefix of its options, if they have one. */
export function withStorePrefix(store: ObjectStore, prefix: string | undefined): ObjectStore {
  return prefix === undefined || prefix === '' ? store : withPrefix(store, prefix)
}

function isFolder(value: string): boolean {
  try {
    assertObjectKey(value.endsWith('/') ? value.slice(0, -1) : value)
    return Buffer.byteLength(value) <= MAX_PREFIX_BYTES
  } catch {
    return false
  }
}
