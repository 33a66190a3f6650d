import type { ContainerClient } from '@azure/storage-blob'
import {
  assertKnownOptions,
  type OptionNames,
  WorkspaceError,
  defineStore,
  assertObjectKey,
  isCountWithin,
  isObject,
  isStorePrefix,
  requestRetries,
  withStorePrefix,
  type ObjectStore,
  type RequestRetryOptions,
} from '@ws/core'
import { deleteObject } from './delete-object.ts'
import { getObject } from './get-object.ts'
import { headObject } from './head-object.ts'
import { assertSegments, MAX_KEY_SEGMENTS } from './key-segments.ts'
import { limitWaits } from './limit-waits.ts'
import { listObjects } from './list-objects.ts'
import { putObject } from './put-object.ts'
import { canSign, signObjectUrl } from './sign-object-url.ts'

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
  const { prefix, blockBytes = 4_194_304, blocksInFlight = 4 } = options
  const container = limitWaits(options.container)
  const retries = requestRetries(options.retry)
  const store = defineStore(
    {
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

      get: (key, getOptions) => getObject(container, key, getOptions),
      head: (key, { signal }) => headObject(container, key, signal),
      put: (key, body, putOptions) =>
        putObject(container, key, body, { ...putOptions, blockBytes, blocksInFlight, retries }),
      delete: (key, { signal }) => deleteObject(container, key, signal),
      list: (within, listOptions) => listObjects(container, within, listOptions),
      ...(canSign(container) && {
        signedUrl: (key, signOptions) => signObjectUrl(container, key, signOptions),
      }),
    },
    { assertKey },
  )
  return withStorePrefix(store, prefix)
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
