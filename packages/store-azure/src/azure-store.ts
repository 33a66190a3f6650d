import type { ContainerClient } from '@azure/storage-blob'
import {
  assertKnownOptions,
  type OptionNames,
  WorkspaceError,
  assertCallOptions,
  assertGetOptions,
  assertKeyPrefix,
  assertListOptions,
  assertObjectKey,
  assertPutOptions,
  assertSignedUrlOptions,
  isCountWithin,
  isObject,
  isStorePrefix,
  requestRetries,
  withStorePrefix,
  type ObjectStore,
  type RequestRetryOptions,
} from '@ws/core'
import { callAbout, isAbsence, notFromService, toStoreError, type CallAbout } from './azure-error.ts'
import { assertSegments, MAX_KEY_SEGMENTS } from './key-segments.ts'
import { listBlobs } from './list-blobs.ts'
import { openBlob, readBlobInfo } from './open-blob.ts'
import { putBlob } from './put-blob.ts'
import { canSign, signBlobUrl } from './sign-blob-url.ts'

/** The service takes no larger ones. */
const MAX_BLOCK_BYTES = 4_000 * 1_048_576

export interface AzureStoreOptions {
  /** Where the objects are. Its retries, proxy and credential are used as they are. */
  readonly container: ContainerClient
  /** One or more key segments that all keys are put behind. @default none */
  readonly prefix?: string | undefined
  /** A body is cut into blocks of this size, and so much of it is in memory for each block in flight. @default 4_194_304 */
  readonly blockBytes?: number | undefined
  /** Blocks of one body that are sent at the same time. @default 4 */
  readonly blocksInFlight?: number | undefined
  /** How a block of a stream is sent again. @default 4 attempts, pauses from 0.2 s up to 5 s */
  readonly retry?: RequestRetryOptions | undefined
}

const azureStoreOptionNames: OptionNames<AzureStoreOptions> = {
  container: isNamedContainer,
  prefix: isStorePrefix,
  blockBytes: isCountWithin(1, MAX_BLOCK_BYTES),
  blocksInFlight: isCountWithin(1, 100),
  retry: isObject,
}

/**
 * Objects as block blobs in one container of Azure Blob Storage. Keeps the whole contract of `ObjectStore`, both
 * conditions `'atomic'` (`If-None-Match: *` and `If-Match`, enforced by the service when it commits).
 *
 * A body that fits into one block is one request; a longer one is staged as blocks in parallel and becomes visible by
 * one commit, so a source that fails leaves no blob (the service drops staged blocks after a week). Each request
 * carries the MD5 of what it sends, which the service compares; the MD5 of the whole is kept with the blob and compared
 * when it is read to its end.
 *
 * @throws `INVALID_INPUT` for a prefix that is not a legal key
 */
export function azureStore(options: AzureStoreOptions): ObjectStore {
  assertKnownOptions('azureStore', options, azureStoreOptionNames)
  if (options.container === undefined)
    throw new WorkspaceError(
      'INVALID_INPUT',
      'An Azure store needs a container: azureStore({ container: service.getContainerClient("name") }).',
    )
  const { container, prefix, blockBytes = 4_194_304, blocksInFlight = 4 } = options
  const retries = requestRetries(options.retry)
  const store: ObjectStore = {
    name: 'azure',
    capabilities: {
      createIfAbsent: 'atomic',
      replaceIfMatch: 'atomic',
      rangeReads: true,
      metadata: true,
      signedUrls: canSign(container),
      remote: true,
      maxKeySegments: MAX_KEY_SEGMENTS,
    },

    async get(key, options = {}) {
      assertKey(key)
      assertGetOptions(key, options)
      return orNull(
        () => openBlob(container, key, options),
        callAbout(container, 'read', key),
        options.signal,
      )
    },

    async head(key, headOptions = {}) {
      assertKey(key)
      assertCallOptions('head', headOptions)
      const { signal } = headOptions
      return orNull(() => readBlobInfo(container, key, signal), callAbout(container, 'read', key), signal)
    },

    async put(key, body, putOptions = {}) {
      assertKey(key)
      assertPutOptions(key, putOptions, body)
      putOptions.signal?.throwIfAborted()
      return putBlob(container, key, body, { ...putOptions, blockBytes, blocksInFlight, retries })
    },

    async delete(key, deleteOptions = {}) {
      assertKey(key)
      assertCallOptions('delete', deleteOptions)
      const { signal } = deleteOptions
      const blob = container.getBlobClient(key)
      const answer = await orNull(
        () => blob.delete({ deleteSnapshots: 'include', ...abortBy(signal) }),
        callAbout(container, 'delete', key),
        signal,
      )
      if (answer !== null && answer.requestId === undefined) throw notFromService('delete', key)
    },

    async *list(within, listOptions = {}) {
      assertKeyPrefix(within)
      assertListOptions(listOptions)
      const { startAfter, signal } = listOptions
      signal?.throwIfAborted()
      try {
        for await (const info of listBlobs(container, within, startAfter, signal)) yield info
      } catch (error) {
        throw toStoreError(error, callAbout(container, 'list', within), signal)
      }
    },
  }
  return withStorePrefix(withSignedUrls(store, container), prefix)
}

/** Only where the client's credential can sign. */
function withSignedUrls(store: ObjectStore, container: ContainerClient): ObjectStore {
  if (!canSign(container)) return store
  return {
    ...store,
    async signedUrl(key, options) {
      assertKey(key)
      assertSignedUrlOptions(options)
      const { signal } = options
      signal?.throwIfAborted()
      try {
        return await signBlobUrl(container, key, options)
      } catch (error) {
        throw toStoreError(error, callAbout(container, 'sign a URL for', key), signal)
      }
    },
  }
}

/** Not `instanceof`: the client may come from another installed copy of the SDK. */
function isNamedContainer(value: unknown): string | null {
  const { url, credential, containerName, listBlobsFlat } =
    isObject(value) === null ? (value as Partial<ContainerClient>) : {}
  const isContainer = typeof url === 'string' && URL.canParse(url) && typeof listBlobsFlat === 'function'
  if (!isContainer || isObject(credential) !== null)
    return 'a ContainerClient, such as service.getContainerClient("name")'
  // Where the SDK looks for the account in front of the container, an address without it has a container "undefined".
  const lastSegment = new URL(url).pathname.split('/').findLast((segment) => segment !== '') ?? ''
  if (containerName !== decodeURIComponent(lastSegment))
    return 'a ContainerClient whose address names the account before the container, as http://127.0.0.1:10000/account/container does: it has to where the host is an IP address or localhost'
  return null
}

function assertKey(key: string): void {
  assertObjectKey(key)
  assertSegments(key)
}

/** What the call gives, or `null` when the service says for certain that there is no such blob. */
async function orNull<T>(
  call: () => Promise<T>,
  about: CallAbout,
  signal: AbortSignal | undefined,
): Promise<T | null> {
  signal?.throwIfAborted()
  try {
    return await call()
  } catch (error) {
    if (signal?.aborted !== true && isAbsence(error)) return null
    throw toStoreError(error, about, signal)
  }
}

function abortBy(signal: AbortSignal | undefined): { abortSignal?: AbortSignal } {
  return signal === undefined ? {} : { abortSignal: signal }
}
