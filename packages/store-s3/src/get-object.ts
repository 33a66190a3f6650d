import type { Readable } from 'node:stream'
import { GetObjectCommand, type GetObjectCommandOutput } from '@aws-sdk/client-s3'
import {
  WorkspaceError,
  damagedContent,
  parseContentRange,
  receiveChunks,
  resolveByteRange,
  type BodyChecksum,
  type ByteRange,
  type GetOptions,
  type StoredObject,
} from '@ws/core'
import { checksumOf } from './checksum-of.ts'
import { headObject, isStoredWithEncoding } from './head-object.ts'
import { toObjectInfo } from './object-info.ts'
import type { S3Calls } from './s3-calls.ts'
import { isInvalidRange, isNoSuchKey, strangeAnswer } from './s3-error.ts'

const PARTIAL_CONTENT = 206
/** A rest of this size is read and thrown away, since a new connection costs more. */
const DRAINED_BYTES = 65_536
const DRAIN_TIMEOUT_MS = 1_000

/**
 * Opens an object. Its body ends with an error when it is shorter than announced, and, read as a whole, when it does not
 * have the checksum that was stored with it (the SDK looks), or else the MD5 that its etag is.
 */
export async function getObject(
  calls: S3Calls,
  key: string,
  options: GetOptions,
): Promise<StoredObject | null> {
  const { range, signal } = options
  const about = { action: 'read', key }
  const command = new GetObjectCommand({
    Bucket: calls.bucket,
    Key: calls.base + key,
    ...(range === undefined ? {} : { Range: toHeader(range) }),
  })
  let answer: { readonly status: number; readonly output: GetObjectCommandOutput }
  try {
    answer = await calls.send(command, about, signal)
  } catch (error) {
    if (isNoSuchKey(error)) return null
    if (range !== undefined && isInvalidRange(error)) return refuseRange(calls, key, range, signal, error)
    throw error
  }
  const { status, output } = answer
  const stream = output.Body as Readable | undefined
  try {
    if (status === PARTIAL_CONTENT && output.ContentRange === undefined)
      throw strangeAnswer(about, calls.bucket, 'the answer does not say which part of the object it is')
    const encoding = output.ContentEncoding ?? 'identity'
    if (encoding !== 'identity' && !(await isStoredWithEncoding(calls, key, encoding, signal)))
      throw strangeAnswer(
        about,
        calls.bucket,
        `the object was packed on its way, as ${JSON.stringify(encoding.slice(0, 40))}`,
      )
    return opened(calls, key, options, output, stream)
  } catch (error) {
    stream?.on('error', () => undefined).destroy()
    throw error
  }
}

function opened(
  calls: S3Calls,
  key: string,
  { range, signal, reusesChunks }: GetOptions,
  output: GetObjectCommandOutput,
  stream: Readable | undefined,
): StoredObject {
  const about = { action: 'read', key }
  const extent = extentOf(output)
  const info = toObjectInfo(key, extent?.size, output)
  if (stream === undefined || extent === null || info === null)
    throw strangeAnswer(about, calls.bucket, 'the answer to a GET describes no object')
  let length = info.size
  if (range !== undefined) {
    const { start, end } = resolveByteRange(key, range, info.size)
    length = end - start
    if (extent.start !== start || extent.length !== length) throw rangeIgnored(calls, key)
  } else if (extent.length !== info.size) {
    throw strangeAnswer(about, calls.bucket, 'a GET of the whole object was answered with a part')
  }
  const progress = { bytes: 0, length }
  const discard = async (): Promise<void> => {
    // What is still on its way must not become an unhandled error.
    stream.on('error', () => undefined)
    const isNearEnd = progress.length - progress.bytes <= DRAINED_BYTES && signal?.aborted !== true
    if (isNearEnd && !stream.closed) drain(stream)
    else stream.destroy()
  }
  const checksum = range === undefined ? checksumOf(calls, output) : undefined
  return {
    info,
    body: chunks(calls, key, receiveChunks(stream, reusesChunks), progress, checksum, signal, discard),
    checksum,
    discard,
  }
}

/** A rest that does not come would keep the process from ending. */
function drain(stream: Readable): void {
  const timer = setTimeout(() => stream.destroy(), DRAIN_TIMEOUT_MS).unref()
  stream.once('close', () => clearTimeout(timer)).resume()
}

async function* chunks(
  calls: S3Calls,
  key: string,
  source: AsyncGenerator<Uint8Array, void, undefined>,
  progress: { bytes: number; readonly length: number },
  checksum: BodyChecksum | undefined,
  signal: AbortSignal | undefined,
  discard: () => Promise<void>,
): AsyncGenerator<Uint8Array> {
  const about = { action: 'read', key }
  const { length } = progress
  try {
    for (;;) {
      signal?.throwIfAborted()
      const next = await source.next().catch(async (error: unknown) => {
        signal?.throwIfAborted()
        throw await calls.translate(error, about)
      })
      signal?.throwIfAborted()
      if (next.done === true) break
      progress.bytes += next.value.length
      if (progress.bytes > length) throw wrongLength(calls, key, length, progress.bytes)
      checksum?.update(next.value)
      yield next.value
    }
    if (progress.bytes !== length) throw wrongLength(calls, key, length, progress.bytes)
    const problem = checksum?.problem() ?? null
    if (problem !== null) throw damagedContent(key, problem)
  } finally {
    await source.return()
    await discard()
  }
}

/** What part of how many bytes an answer brings. */
function extentOf({
  ContentRange,
  ContentLength,
}: GetObjectCommandOutput): { start: number; length: number; size: number } | null {
  if (ContentRange === undefined)
    return ContentLength === undefined ? null : { start: 0, length: ContentLength, size: ContentLength }
  const range = parseContentRange(ContentRange)
  return range === null ? null : { start: range.start, length: range.end - range.start, size: range.size }
}

function toHeader({ start, end }: ByteRange): string {
  return `bytes=${start}-${end === undefined ? '' : end - 1}`
}

/** The service refuses a range that no byte is in; the size belongs in the message. */
async function refuseRange(
  calls: S3Calls,
  key: string,
  range: ByteRange,
  signal: AbortSignal | undefined,
  refusal: unknown,
): Promise<null> {
  const info = await headObject(calls, key, signal)
  if (info === null) return null
  resolveByteRange(key, range, info.size)
  throw refusal
}

function rangeIgnored(calls: S3Calls, key: string): WorkspaceError {
  return new WorkspaceError(
    'UNSUPPORTED',
    `Cannot read a range of ${JSON.stringify(key)} in S3: the service answered with other bytes than were asked for. Call probe() once after opening the store.`,
    { details: { key, bucket: calls.bucket } },
  )
}

function wrongLength(calls: S3Calls, key: string, expected: number, bytes: number): WorkspaceError {
  const seen = bytes > expected ? 'more came' : `it ended after ${bytes}`
  return new WorkspaceError(
    'UNAVAILABLE',
    `Cannot read ${JSON.stringify(key)} in S3: ${expected} bytes were announced, but ${seen}. Read it again.`,
    { details: { key, bucket: calls.bucket, expected, bytes } },
  )
}
