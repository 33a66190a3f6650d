import {
  assertKnownOptions,
  type OptionNames,
  WorkspaceError,
  defineStore,
  isBucketName,
  isObject,
  isStorePrefix,
  requestRetries,
  withStorePrefix,
  type ObjectStore,
  type RequestRetryOptions,
} from '@ws/core'
import { deleteObject } from './delete-object.ts'
import { assertSupabaseKey, MAX_KEY_BYTES } from './escape-key.ts'
import { getObject } from './get-object.ts'
import { headObject } from './head-object.ts'
import { listObjects } from './list-objects.ts'
import { putObject } from './put-object.ts'
import { signObjectUrl } from './sign-object-url.ts'
import {
  connectSupabase,
  isClient,
  type StorageClientLike,
  type SupabaseClientLike,
} from './supabase-client.ts'

export interface SupabaseStoreOptions {
  /** A client of `@supabase/supabase-js`, or a `StorageClient` of `@supabase/storage-js` (which needs no WebSocket). */
  readonly client: SupabaseClientLike | StorageClientLike
  readonly bucket: string
  /** One or more key segments that all keys are put behind. @default none */
  readonly prefix?: string | undefined
  /** How a part of an upload is repeated. @default 6 attempts, pauses from 0.5 s up to 8 s */
  readonly retry?: RequestRetryOptions | undefined
}

const supabaseStoreOptionNames: OptionNames<SupabaseStoreOptions> = {
  client: isClient,
  bucket: isBucketName,
  prefix: isStorePrefix,
  retry: isObject,
}

/**
 * A store of the objects in a bucket of Supabase Storage.
 *
 * - `ifAbsent` and `ifMatch` are `'checked'`: the service looks before it takes the bytes and not again, so racing
 *   writers may all succeed (the version commits of `createBundleStore` hold all the same).
 * - Arrays of up to 32 MiB and streams of up to 6 MiB go in one request; what is longer by TUS in parts of 6 MiB, with one
 *   part in memory. A put that fails or is aborted cancels its upload and leaves the old object.
 * - After a put the object is looked at: its size must be right, and the credentials must be able to see it.
 * - Row-level security hides rows instead of refusing: absence is believed only of a bucket that can be seen, and what
 *   was put and cannot be seen is `ACCESS_DENIED`.
 *
 * @throws `INVALID_INPUT` without a client or a bucket
 */
export function supabaseStore(options: SupabaseStoreOptions): ObjectStore {
  assertKnownOptions('supabaseStore', options, supabaseStoreOptionNames)
  const { client, bucket, prefix } = options
  if (client === undefined || bucket === undefined)
    throw new WorkspaceError(
      'INVALID_INPUT',
      'A Supabase store needs a client and the name of its bucket: supabaseStore({ client: createClient(url, key), bucket }).',
    )
  const connection = connectSupabase(
    client,
    bucket,
    requestRetries({ attempts: 6, firstDelayMs: 500, maxDelayMs: 8_000, ...options.retry }),
  )

  const store = defineStore(
    {
      name: 'supabase',
      capabilities: {
        createIfAbsent: 'checked',
        replaceIfMatch: 'checked',
        rangeReads: true,
        metadata: true,
        signedUrls: true,
        remote: true,
        checksummedUploads: false,
        maxKeyBytes: MAX_KEY_BYTES,
      },
      get: (key, getOptions) => getObject(connection, key, getOptions),
      head: async (key, { signal }) => (await headObject(connection, key, signal))?.info ?? null,
      put: (key, body, putOptions) => putObject(connection, key, body, putOptions),
      delete: (key, { signal }) => deleteObject(connection, key, signal),
      list: (within, listOptions) => listObjects(connection, within, listOptions),
      signedUrl: (key, signOptions) => signObjectUrl(connection, key, signOptions),
    },
    { assertKey: assertSupabaseKey },
  )
  return withStorePrefix(store, prefix)
}
