import { Buffer } from 'node:buffer'
import type { S3Client, S3ClientConfig } from '@aws-sdk/client-s3'
import {
  assertKnownOptions,
  type OptionNames,
  MAX_KEY_BYTES,
  WorkspaceError,
  assertKeyPrefix,
  assertObjectKey,
  defineStore,
  isCountWithin,
  isObject,
  isOneOf,
  isStorePrefix,
  requestRetries,
  type ObjectStore,
  type RequestRetryOptions,
  type StoreCapabilities,
} from '@ws/core'
import { deleteObject } from './delete-object.ts'
import { getObject } from './get-object.ts'
import { headObject } from './head-object.ts'
import { listObjects } from './list-objects.ts'
import { probeBucket, probeOptionNames, type ProbeOptions, type S3Probe } from './probe-bucket.ts'
import { putObject } from './put-object.ts'
import { createCalls } from './s3-calls.ts'
import { holdsBucket, isClientOrConfig, isKnownToEnforce, openClient } from './s3-client.ts'
import { signObjectUrl } from './sign-object-url.ts'
import { assumedSupport, toCapabilities } from './server-support.ts'

const MIB = 1_048_576
/** The longest key that S3 takes, in bytes. */
const S3_KEY_BYTES = 1_024
const MIN_PART_BYTES = 5 * MIB
const MAX_PUT_BYTES = 5_120 * MIB

export interface S3StoreOptions {
  readonly bucket: string
  /** What all keys begin with, as a folder of the bucket. @default the whole bucket */
  readonly prefix?: string | undefined
  /**
   * A client, or the options to make one with. Credentials come from the SDK's own chain where none are given.
   * @default what the environment configures
   */
  readonly client?: S3Client | S3ClientConfig | undefined
  /**
   * Whether the service keeps `If-None-Match` and `If-Match` on puts. `'unknown'`: the store looks before each
   * conditional put and claims no more than `'checked'`, until `probe()` has found out.
   * @default 'enforced' for AWS and R2, by their host names, else 'unknown'
   */
  readonly conditions?: 'enforced' | 'unknown' | undefined
  /** Size of the parts in which streams are sent, at least 5 MiB; 10,000 of them are the largest object of unknown size. @default 6 MiB */
  readonly partBytes?: number | undefined
  /** How many parts of one object are sent at a time; so many are in memory, and one more. @default 4 */
  readonly parallelParts?: number | undefined
  /** A body that is in memory as one array is sent by one request up to this size. @default 32 MiB */
  readonly singlePutBytes?: number | undefined
  /** How a piece of a stream is sent again. @default 4 attempts, pauses from 0.2 s up to 5 s */
  readonly retry?: RequestRetryOptions | undefined
}

const s3StoreOptionNames: OptionNames<S3StoreOptions> = {
  bucket: (value) => (isS3Bucket(value) ? null : 'the name of a bucket, or the ARN of an access point'),
  prefix: isStorePrefix,
  client: isClientOrConfig,
  conditions: isOneOf('enforced', 'unknown'),
  // S3 takes no others.
  partBytes: isCountWithin(MIN_PART_BYTES, MAX_PUT_BYTES),
  parallelParts: isCountWithin(1, 100),
  singlePutBytes: isCountWithin(0, MAX_PUT_BYTES),
  retry: isObject,
}

export interface S3Store extends ObjectStore {
  /** As far as is known: `probe()` makes it certain. Wrappers copy it, so probe before you wrap. */
  readonly capabilities: StoreCapabilities
  /**
   * Finds out what the service really does, by about 20 small requests below a throwaway prefix which is emptied
   * again, and lets `capabilities` tell it from then on.
   * @throws what the store's methods throw; `ACCESS_DENIED` for credentials that may not put or delete
   */
  probe(options?: ProbeOptions): Promise<S3Probe>
}

/**
 * Objects in a bucket of S3, or of a service that speaks its protocol.
 * @throws `INVALID_INPUT` for options that cannot work; nothing is sent before the first call
 */
export function s3Store(options: S3StoreOptions): S3Store {
  assertKnownOptions('s3Store', options, s3StoreOptionNames)
  if (options.bucket === undefined)
    throw invalid("An S3 store needs the name of its bucket: s3Store({ bucket: 'my-bucket' }).")
  if (holdsBucket(options.client, options.bucket))
    throw invalid(
      'The endpoint of the S3 store names the bucket already, so that each key would lie in a folder of that name: leave the bucket out of the endpoint.',
    )
  const { bucket, prefix = '', partBytes = 6 * MIB, parallelParts = 4, singlePutBytes = 32 * MIB } = options
  const base = prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`
  const calls = createCalls(openClient(options.client), bucket, base, requestRetries(options.retry))
  const maxKeyBytes = Math.min(MAX_KEY_BYTES, S3_KEY_BYTES - Buffer.byteLength(base))
  let support = assumedSupport(
    options.conditions ?? (isKnownToEnforce(options.client) ? 'enforced' : 'unknown'),
  )

  const store = defineStore(
    {
      name: 's3',
      get capabilities() {
        return toCapabilities(support, maxKeyBytes)
      },
      async get(key, getOptions) {
        if (getOptions.range !== undefined && !support.rangeReads) throw noRanges(key)
        return getObject(calls, key, getOptions)
      },
      head: (key, { signal }) => headObject(calls, key, signal),
      put(key, body, putOptions) {
        const { ifAbsent, ifMatch } = support
        const how = { partBytes, parallelParts, singlePutBytes, ifAbsent, ifMatch }
        return putObject(calls, key, body, putOptions, how)
      },
      delete: (key, { signal }) => deleteObject(calls, key, signal),
      list: (within, listOptions) => listObjects(calls, within, listOptions, support.listOrder),
      signedUrl: (key, signOptions) => signObjectUrl(calls, key, signOptions),
    },
    {
      assertKey(key) {
        assertObjectKey(key)
        assertLength(key, maxKeyBytes)
      },
      assertPrefix(within) {
        assertKeyPrefix(within)
        assertLength(within, maxKeyBytes)
      },
    },
  )
  return Object.assign(store, {
    async probe(probeOptions: ProbeOptions = {}): Promise<S3Probe> {
      assertKnownOptions('probe', probeOptions, probeOptionNames)
      support = await probeBucket(calls, probeOptions.signal)
      return {
        capabilities: toCapabilities(support, maxKeyBytes),
        listsInByteOrder: support.listOrder === 'bytes',
      }
    },
  })
}

/** A name with "/" or ".." would be a part of another path. */
function isS3Bucket(value: unknown): boolean {
  return typeof value === 'string' && /^(?!\.{1,2}$)[^\s/\\?#]+$|^arn:\S+$/.test(value)
}

function assertLength(key: string, maxKeyBytes: number): void {
  const bytes = Buffer.byteLength(key)
  if (bytes <= maxKeyBytes) return
  throw invalid(
    `The object key is ${bytes} bytes long; below the prefix of this S3 store at most ${maxKeyBytes} are allowed.`,
    { key },
  )
}

function noRanges(key: string): WorkspaceError {
  return new WorkspaceError(
    'UNSUPPORTED',
    'The S3 service behind this store reads no ranges, its probe says.',
    {
      details: { key },
    },
  )
}

function invalid(message: string, details: Readonly<Record<string, string>> = {}): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', message, { details })
}
