import { assertKeyPrefix, assertObjectKey } from './object-key.ts'
import {
  assertCallOptions,
  assertGetOptions,
  assertListOptions,
  assertPutOptions,
  assertSignedUrlOptions,
} from './object-options.ts'
import type {
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignedUrlOptions,
  StoreCapabilities,
  StoredObject,
} from './object-store.ts'

/** What is left of an `ObjectStore` for an adapter to do; see there. Each call comes with its options. */
export interface StoreMethods {
  readonly name: string
  /** Read anew whenever somebody asks. */
  readonly capabilities: StoreCapabilities
  get(key: string, options: GetOptions): Promise<StoredObject | null>
  head(key: string, options: CallOptions): Promise<ObjectInfo | null>
  put(key: string, body: ObjectBody, options: PutOptions): Promise<ObjectInfo>
  delete(key: string, options: CallOptions): Promise<void>
  list(prefix: string, options: ListOptions): AsyncIterable<ObjectInfo>
  signedUrl?(key: string, options: SignedUrlOptions): Promise<URL>
}

export interface DefineStoreOptions {
  /** @throws `INVALID_INPUT` for keys that the service cannot have. @default assertObjectKey */
  readonly assertKey?: (key: string) => void
  /** The same for the prefix of a list. @default assertKeyPrefix */
  readonly assertPrefix?: (prefix: string) => void
}

/**
 * For adapters: a store whose methods are reached only by what can be meant. Keys and options that the contract does not
 * have reject with `INVALID_INPUT`, and a signal that has aborted with its reason, before anything is sent.
 */
export function defineStore(
  methods: StoreMethods,
  { assertKey = assertObjectKey, assertPrefix = assertKeyPrefix }: DefineStoreOptions = {},
): ObjectStore {
  const store: ObjectStore = {
    name: methods.name,
    get capabilities() {
      return methods.capabilities
    },
    async get(key, options = {}) {
      assertKey(key)
      assertGetOptions(key, options)
      options.signal?.throwIfAborted()
      return methods.get(key, options)
    },
    async head(key, options = {}) {
      assertKey(key)
      assertCallOptions('head', options)
      options.signal?.throwIfAborted()
      return methods.head(key, options)
    },
    async put(key, body, options = {}) {
      assertKey(key)
      assertPutOptions(key, options, body)
      options.signal?.throwIfAborted()
      return methods.put(key, body, options)
    },
    async delete(key, options = {}) {
      assertKey(key)
      assertCallOptions('delete', options)
      options.signal?.throwIfAborted()
      return methods.delete(key, options)
    },
    async *list(prefix, options = {}) {
      assertPrefix(prefix)
      assertListOptions(options)
      options.signal?.throwIfAborted()
      yield* methods.list(prefix, options)
    },
  }
  const sign = methods.signedUrl?.bind(methods)
  if (sign === undefined) return store
  return Object.assign(store, {
    async signedUrl(key: string, options: SignedUrlOptions) {
      assertKey(key)
      assertSignedUrlOptions(options)
      options.signal?.throwIfAborted()
      return sign(key, options)
    },
  })
}
