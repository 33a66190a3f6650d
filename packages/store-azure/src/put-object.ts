import { Buffer } from 'node:buffer'
import { createHash, randomBytes } from 'node:crypto'
import type { BlockBlobClient, ContainerClient } from '@azure/storage-blob'
import {
  conditionFailed,
  plainEtag,
  sizeMismatch,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
  type RequestRetries,
} from '@ws/core'
import {
  abortBy,
  callAbout,
  isAbsence,
  isConditionFailure,
  isLostBlocks,
  notFromService,
  toStoreError,
} from './azure-error.ts'
import { encodeMetadata } from './blob-metadata.ts'
import { cutIntoBlocks, type BodyBlock } from './body-blocks.ts'
import { refuseRedirects } from './refuse-redirects.ts'
import { stageBlocks, type StagedBlocks } from './stage-blocks.ts'

export interface PutObjectOptions extends PutOptions {
  readonly blockBytes: number
  readonly blocksInFlight: number
  readonly retries: RequestRetries
}

/** Bytes in memory are one request up to this size; more are staged in blocks, which are sent in parallel. */
const MAX_SINGLE_PUT_BYTES = 33_554_432

interface Target {
  readonly key: string
  readonly blob: BlockBlobClient
  readonly options: PutObjectOptions
}

export async function putObject(
  container: ContainerClient,
  key: string,
  body: ObjectBody,
  options: PutObjectOptions,
): Promise<ObjectInfo> {
  const target: Target = { key, blob: container.getBlockBlobClient(key), options }
  if (body instanceof Uint8Array && body.length <= MAX_SINGLE_PUT_BYTES) {
    if (options.size !== undefined && options.size !== body.length)
      throw sizeMismatch(key, options.size, body.length)
    return uploadWhole(target, body)
  }
  const blocks = cutIntoBlocks(key, body, options, options.blockBytes)
  const first = await blocks.next()
  if (first.done === true) throw new TypeError('A body has no last block.')
  if (!first.value.isLast) return uploadInBlocks(target, first.value, blocks)
  options.signal?.throwIfAborted()
  return uploadWhole(target, first.value.bytes)
}

async function uploadWhole(target: Target, bytes: Uint8Array): Promise<ObjectInfo> {
  const { key, blob, options } = target
  const { signal, onProgress } = options
  const md5 = createHash('md5').update(bytes).digest()
  let reported = 0
  const report = (sent: number): void => {
    if (sent > reported) onProgress?.(sent)
    reported = Math.max(reported, sent)
  }
  let answer
  try {
    answer = await refuseRedirects(blob, callAbout(blob, 'put', key), () =>
      blob.upload(asBuffer(bytes), bytes.length, {
        ...requestOptions(options, md5),
        transactionalContentMD5: md5,
        ...(onProgress === undefined ? {} : { onProgress: ({ loadedBytes }) => report(loadedBytes) }),
        ...abortBy(signal),
      }),
    )
  } catch (error) {
    throw await toPutError(error, target)
  }
  report(bytes.length)
  return toInfo(key, bytes.length, options, answer)
}

async function uploadInBlocks(
  target: Target,
  first: BodyBlock,
  rest: AsyncIterable<BodyBlock>,
): Promise<ObjectInfo> {
  const { key, blob, options } = target
  const { signal, onProgress } = options
  const about = callAbout(blob, 'put', key)
  // All ids of one blob must be equally long, and no two writers may use the same.
  const writer = randomBytes(12)
  const staged: StagedBlocks = await stageBlocks({
    blocks: prepend(first, rest),
    blocksInFlight: options.blocksInFlight,
    retries: options.retries,
    signal,
    async stage(index, bytes, md5, abortSignal) {
      const id = Buffer.concat([writer, uint32(index)]).toString('base64')
      try {
        const sending = { transactionalContentMD5: md5, abortSignal }
        await refuseRedirects(blob, about, () => blob.stageBlock(id, asBuffer(bytes), bytes.length, sending))
      } catch (error) {
        throw toStoreError(error, about, signal)
      }
      return id
    },
    onProgress,
  })
  signal?.throwIfAborted()
  let answer
  try {
    answer = await refuseRedirects(blob, about, () =>
      blob.commitBlockList([...staged.ids], {
        ...requestOptions(options, staged.md5),
        ...abortBy(signal),
      }),
    )
  } catch (error) {
    throw await toPutError(error, target)
  }
  return toInfo(key, staged.bytes, options, answer)
}

function requestOptions(
  { ifAbsent, ifMatch, contentType = 'application/octet-stream', metadata = {} }: PutObjectOptions,
  md5: Uint8Array,
) {
  return {
    blobHTTPHeaders: { blobContentType: contentType, blobContentMD5: md5 },
    metadata: encodeMetadata(metadata),
    conditions: {
      ...(ifAbsent === true ? { ifNoneMatch: '*' } : {}),
      ...(ifMatch === undefined ? {} : { ifMatch: `"${ifMatch}"` }),
    },
  }
}

/**
 * When another writer commits first, the service drops the blocks of the others and may say that before it looks at the
 * condition. Then what is there now tells whether the condition held.
 */
async function toPutError(error: unknown, target: Target): Promise<unknown> {
  const { key, blob, options } = target
  const { ifAbsent, ifMatch, signal } = options
  if (signal?.aborted === true) return signal.reason
  const condition = ifAbsent === true ? 'ifAbsent' : ifMatch === undefined ? null : 'ifMatch'
  if (condition === null) return toStoreError(error, callAbout(target.blob, 'put', target.key), signal)
  if (isConditionFailure(error) || isAbsence(error)) return conditionFailed(key, condition)
  if (isLostBlocks(error)) {
    const look = refuseRedirects(blob, callAbout(blob, 'put', key), () => blob.getProperties())
    const current = await look.catch((headError: unknown) => headError)
    const etag = isAbsence(current) ? null : (current as { readonly etag?: string }).etag
    if (condition === 'ifAbsent' && typeof etag === 'string') return conditionFailed(key, condition)
    if (condition === 'ifMatch' && etag !== undefined && (etag === null || plainEtag(etag) !== ifMatch))
      return conditionFailed(key, condition)
  }
  return toStoreError(error, callAbout(target.blob, 'put', target.key), signal)
}

function toInfo(
  key: string,
  size: number,
  options: PutObjectOptions,
  answer: { readonly etag?: string; readonly lastModified?: Date; readonly requestId?: string },
): ObjectInfo {
  const { etag, lastModified, requestId } = answer
  if (etag === undefined || lastModified === undefined || requestId === undefined)
    throw notFromService('put', key)
  return {
    key,
    size,
    etag: plainEtag(etag),
    modifiedAt: lastModified,
    contentType: options.contentType ?? 'application/octet-stream',
    metadata: { ...options.metadata },
  }
}

async function* prepend(first: BodyBlock, rest: AsyncIterable<BodyBlock>): AsyncGenerator<BodyBlock> {
  yield first
  yield* rest
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
