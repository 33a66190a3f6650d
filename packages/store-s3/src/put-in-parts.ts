import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import zlib from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  UploadPartCommand,
  type CompleteMultipartUploadCommandOutput,
  type CompletedPart,
} from '@aws-sdk/client-s3'
import { WorkspaceError, beginUpload, plainEtag, type ObjectInfo } from '@ws/core'
import type { BodyPart } from './body-parts.ts'
import { base64Crc32, confirmUpload, md5Of, type SentPart } from './confirm-upload.ts'
import { headObject } from './head-object.ts'
import { describePut, type PutTarget } from './put-whole.ts'
import type { S3Answer } from './s3-calls.ts'
import { strangeAnswer } from './s3-error.ts'

/** What S3 takes in one object. */
export const MAX_PARTS = 10_000
const ABORT_ATTEMPTS = 3
/** How long the clearing up after a failed upload may take before its error comes out. */
const ABORT_TIMEOUT_MS = 10_000

/** Of a part that needs none. */
const NO_HASH = Buffer.alloc(0)

interface Upload extends PutTarget {
  readonly uploadId: string
}

interface UploadedPart extends SentPart {
  readonly completed: CompletedPart
  /** Whether the service has shown that it got these very bytes. */
  readonly isProven: boolean
}

/**
 * Stores a body as a multipart upload, so many parts at a time. Whatever fails first (a part, the source, the signal)
 * ends everything else at once; then the upload is aborted, so that no part stays behind.
 */
export async function putInParts(
  target: PutTarget,
  first: BodyPart,
  rest: AsyncIterator<BodyPart>,
  parallelParts: number,
): Promise<ObjectInfo> {
  const { signal } = target.options
  const upload = { ...target, uploadId: await createUpload(target) }
  const stop = new AbortController()
  const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
  const running = new Set<Promise<unknown>>()
  try {
    const parts = await sendParts(upload, first, rest, parallelParts, signals, running)
    return await completeUpload(upload, parts)
  } catch (error) {
    stop.abort(error)
    await Promise.allSettled(running)
    await abortUpload(upload)
    throw error
  }
}

async function sendParts(
  upload: Upload,
  first: BodyPart,
  rest: AsyncIterator<BodyPart>,
  parallelParts: number,
  signal: AbortSignal,
  running: Set<Promise<unknown>>,
): Promise<UploadedPart[]> {
  const failure = Promise.withResolvers<never>()
  failure.promise.catch(() => undefined)
  const sent: UploadedPart[] = []
  let count = 0
  let arrivedBytes = 0
  for (let part: BodyPart | undefined = first; part !== undefined;) {
    count += 1
    if (count > MAX_PARTS) throw tooManyParts(upload, part.bytes.length)
    while (running.size >= parallelParts) await Promise.race([failure.promise, ...running])
    const number = count
    const { bytes, release } = part
    const arrive = (uploaded: UploadedPart): void => {
      sent[number - 1] = uploaded
      arrivedBytes += uploaded.length
      upload.options.onProgress?.(arrivedBytes)
      release()
    }
    const sending: Promise<unknown> = upload.calls.retries
      .repeat(() => sendPart(upload, number, bytes, signal), signal, isNotLost)
      .then(arrive)
      .catch(failure.reject)
      .finally(() => running.delete(sending))
    running.add(sending)
    const next: IteratorResult<BodyPart> | null = part.isLast
      ? null
      : await Promise.race([failure.promise, rest.next()])
    part = next === null || next.done === true ? undefined : next.value
  }
  await Promise.race([failure.promise, Promise.all(running)])
  return sent
}

async function sendPart(
  { calls, key, input, uploadId }: Upload,
  number: number,
  bytes: Uint8Array,
  signal: AbortSignal,
): Promise<UploadedPart> {
  const about = { action: 'put', key }
  const hashing = (await calls.sendsChecksums()) ? null : md5Of(bytes)
  const command = new UploadPartCommand({
    Bucket: input.Bucket,
    Key: input.Key,
    UploadId: uploadId,
    PartNumber: number,
    Body: bytes,
  })
  const { ETag, ChecksumCRC32 } = (await calls.send(command, about, signal)).output
  if (ETag === undefined) throw strangeAnswer(about, calls.bucket, 'the answer to a part has no ETag')
  const isProven = ChecksumCRC32 === base64Crc32(zlib.crc32(bytes))
  return {
    length: bytes.length,
    completed: { PartNumber: number, ETag, ...(ChecksumCRC32 === undefined ? {} : { ChecksumCRC32 }) },
    isProven,
    md5: isProven ? NO_HASH : await (hashing ?? md5Of(bytes)),
  }
}

async function createUpload({ calls, key, input, options }: PutTarget): Promise<string> {
  const { signal } = options
  const about = { action: 'put', key }
  const algorithm = (await calls.sendsChecksums()) ? { ChecksumAlgorithm: 'CRC32' as const } : {}
  const create = (bound: AbortSignal | undefined): Promise<string> =>
    calls.retries.repeat(async () => {
      const command = new CreateMultipartUploadCommand({ ...input, ...algorithm })
      const { UploadId } = (await calls.send(command, about, bound)).output
      if (UploadId === undefined) throw strangeAnswer(about, calls.bucket, 'the new upload has no id')
      return UploadId
    }, bound)
  return beginUpload(signal, create, (uploadId) =>
    abortUpload({ calls, key, input, options, condition: undefined, uploadId }),
  )
}

async function completeUpload(upload: Upload, parts: readonly UploadedPart[]): Promise<ObjectInfo> {
  const { calls, key, options } = upload
  let size = 0
  for (const { length } of parts) size += length
  let failures = 0
  const noteFailure = (error: unknown): never => {
    failures += 1
    throw error
  }
  try {
    const { output, date } = await calls.retries.repeat(
      () => sendCompletion(upload, parts).catch(noteFailure),
      options.signal,
      isNotLost,
    )
    if (!parts.every(({ isProven }) => isProven))
      await confirmUpload(calls, key, output, parts, options.signal)
    return await describePut(upload, size, plainEtag(output.ETag ?? ''), date)
  } catch (error) {
    // The answer to an earlier try got lost: the upload is gone because it is the object by now.
    if (isNotLost(error) || failures < 2) throw error
    const stored = await headObject(calls, key, options.signal)
    if (stored?.etag !== expectedEtag(parts)) throw error
    return describePut(upload, size, stored.etag, stored.modifiedAt)
  }
}

async function sendCompletion(
  { calls, key, input, options, uploadId }: Upload,
  parts: readonly UploadedPart[],
): Promise<S3Answer<CompleteMultipartUploadCommandOutput>> {
  const about = { action: 'put', key }
  const command = new CompleteMultipartUploadCommand({
    Bucket: input.Bucket,
    Key: input.Key,
    UploadId: uploadId,
    MultipartUpload: { Parts: parts.map(({ completed }) => completed) },
  })
  const answer = await calls.send(command, about, options.signal)
  if (answer.output.ETag === undefined)
    throw strangeAnswer(about, calls.bucket, 'the finished upload has no ETag')
  return answer
}

/** The MD5 of the parts' MD5s, which are their etags where nobody computed them here. */
function expectedEtag(parts: readonly UploadedPart[]): string {
  const hash = createHash('md5')
  for (const { md5, completed } of parts)
    hash.update(md5.length > 0 ? md5 : Buffer.from(plainEtag(completed.ETag ?? ''), 'hex'))
  return `${hash.digest('hex')}-${parts.length}`
}

/** Whether the upload is still there, as far as an error tells. */
function isNotLost(error: unknown): boolean {
  return !(WorkspaceError.is(error) && error.details['service'] === 'NoSuchUpload')
}

/** Parts that stay behind cost money and show nowhere; what fails here is left to the bucket's lifecycle rule. */
async function abortUpload({ calls, key, input, uploadId }: Upload): Promise<void> {
  const deadline = AbortSignal.timeout(ABORT_TIMEOUT_MS)
  for (let attempt = 1; attempt <= ABORT_ATTEMPTS; attempt += 1) {
    try {
      const command = new AbortMultipartUploadCommand({
        Bucket: input.Bucket,
        Key: input.Key,
        UploadId: uploadId,
      })
      await calls.send(command, { action: 'clear up', key }, deadline)
      return
    } catch (error) {
      if (deadline.aborted) return
      if (!WorkspaceError.is(error) || !error.retryable) return
    }
  }
}

function tooManyParts({ key, calls }: Upload, partBytes: number): WorkspaceError {
  return new WorkspaceError(
    'QUOTA_EXCEEDED',
    `Cannot put ${JSON.stringify(key)} in S3: it has more than ${MAX_PARTS} parts of ${partBytes} bytes. Say its size, or open the store with a larger partBytes.`,
    { details: { key, bucket: calls.bucket, maxBytes: MAX_PARTS * partBytes } },
  )
}
