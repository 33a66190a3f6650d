import type { Agent } from 'node:http'
import type { Bucket } from '@google-cloud/storage'
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
import { createGcsClient } from './gcs-client.ts'
import { getObject, type KnownMetadata } from './get-object.ts'
import { headObject } from './head-object.ts'
import { listObjects } from './list-objects.ts'
import { putObject } from './put-object.ts'
import { signObjectUrl } from './sign-object-url.ts'

export interface GcsStoreOptions {
  /** `new Storage(...).bucket(name)`: says where, with which credentials, and who pays (`userProject`). */
  readonly bucket: Bucket
  /** The folder of the bucket that holds the objects; keys cannot leave it. @default the whole bucket */
  readonly prefix?: string | undefined
  /** How parts of an upload are repeated, and after a 429 a put of a stream or with a condition. @default 6 attempts, pauses from 0.5 s up to 8 s */
  readonly retry?: RequestRetryOptions | undefined
  /** Makes the connections: give your own to go through a proxy. @default Node's own */
  readonly agent?: Agent | undefined
}

const gcsStoreOptionNames: OptionNames<GcsStoreOptions> = {
  bucket: (value) =>
    isBucket(value) ? null : 'a bucket of @google-cloud/storage, such as new Storage().bucket("name")',
  prefix: isStorePrefix,
  retry: isObject,
  // Not `instanceof`: agents of other packages make do with the interface.
  agent: (value) =>
    typeof (value as Agent | null)?.createConnection === 'function' ||
    typeof (value as { addRequest?: unknown } | null)?.addRequest === 'function'
      ? null
      : 'an Agent of node:http or node:https',
}

/**
 * A store of the objects in a Google Cloud Storage bucket.
 *
 * - `ifAbsent` and `ifMatch` are atomic: an etag is the object's generation, and the service compares it.
 * - Each upload carries its CRC32C, which the service checks before the object becomes visible; a whole read is checked
 *   against the CRC32C of the object (`CORRUPT`), a read that ends early is `UNAVAILABLE`.
 * - Arrays of up to 32 MiB and streams of up to 8 MiB go in one request; what is longer in a resumable upload of parts of
 *   8 MiB, with one part in memory.
 *   A part whose answer is lost goes on where the service has got to. A put that fails or is aborted cancels its upload.
 * - After 429 (the service lets one object change about once a second) a put of a stream or with a condition is repeated
 *   with growing pauses, because it was not carried out and only here it can be. All else is left to `withRetry`.
 * - Absence is told from a missing bucket (`NOT_FOUND`).
 * - Signed URLs need a service account, or the right to sign for one. Credentials say only when they are asked whether they
 *   have that: `signedUrl` rejects with `ACCESS_DENIED` then.
 *
 * @throws `INVALID_INPUT` without a bucket
 */
export function gcsStore(options: GcsStoreOptions): ObjectStore {
  assertKnownOptions('gcsStore', options, gcsStoreOptionNames)
  const { bucket, prefix } = options
  if (bucket === undefined)
    throw new WorkspaceError(
      'INVALID_INPUT',
      "A Google Cloud Storage store needs a bucket: gcsStore({ bucket: new Storage().bucket('name') }).",
    )
  const client = createGcsClient(
    bucket,
    requestRetries({ attempts: 6, firstDelayMs: 500, maxDelayMs: 8_000, ...options.retry }),
    options.agent,
  )
  const known: KnownMetadata = new Map()

  const store = defineStore({
    name: 'gcs',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: true,
      remote: true,
    },
    get: (key, getOptions) => getObject(client, key, getOptions, known),
    head: async (key, { signal }) => (await headObject(client, key, signal))?.info ?? null,
    put: (key, body, putOptions) => putObject(client, key, body, putOptions),
    delete: (key, { signal }) => deleteObject(client, key, signal),
    list: (within, listOptions) => listObjects(client, within, listOptions),
    signedUrl: (key, signOptions) => signObjectUrl(bucket, key, signOptions),
  })
  return withStorePrefix(store, prefix)
}

/** Not `instanceof`: the bucket may come from another installed copy of the SDK. */
function isBucket(value: unknown): boolean {
  const { name, storage } = isObject(value) === null ? (value as Partial<Bucket>) : {}
  return (
    isBucketName(name) === null &&
    typeof storage?.baseUrl === 'string' &&
    typeof storage.apiEndpoint === 'string'
  )
}
