import { setTimeout as delay } from 'node:timers/promises'
import zlib from 'node:zlib'
import { PutObjectCommand, type PutObjectCommandInput } from '@aws-sdk/client-s3'
import { conditionFailed, plainEtag, type ObjectInfo, type PutOptions } from '@ws/core'
import { base64Crc32, confirmUpload, md5Of } from './confirm-upload.ts'
import { headObject } from './head-object.ts'
import { isHashEtag } from './object-info.ts'
import type { S3Calls } from './s3-calls.ts'
import { isRace, isReset, isUnclear, strangeAnswer } from './s3-error.ts'

const RACE_ATTEMPTS = 8
const FIRST_PAUSE_MS = 20
const LONGEST_PAUSE_MS = 1_000
/** After an answer got lost: three seconds in all. */
const LATER_LOOKS = 5
const FIRST_LOOK_MS = 100

/** Where a body goes. */
export interface PutTarget {
  readonly calls: S3Calls
  readonly key: string
  readonly options: PutOptions
  readonly condition: 'ifAbsent' | 'ifMatch' | undefined
  readonly input: {
    readonly Bucket: string
    readonly Key: string
    readonly ContentType?: string
    readonly Metadata?: Record<string, string>
  }
}

/** A body that one request can carry, and a repeated request again. */
export interface WholeBody {
  readonly length: number
  /** What the request says of it, and the bytes; `fail` is called when they cannot be read any more. */
  readonly open: (
    fail: (error: unknown) => void,
  ) => Pick<PutObjectCommandInput, 'Body' | 'ContentLength' | 'ChecksumCRC32'>
  readonly crc32: () => number
  readonly md5: () => Promise<Buffer>
  /** What to sign for a body that the SDK cannot hash itself. */
  readonly sha256?: string
}

export function wholeBytes(bytes: Uint8Array): WholeBody {
  return {
    length: bytes.length,
    open: () => ({ Body: bytes }),
    crc32: () => zlib.crc32(bytes),
    md5: () => md5Of(bytes),
  }
}

/** Stores a body by one request. A race with another conditional writer (409) is run again; nothing was stored then. */
export async function putWhole(
  target: PutTarget,
  body: WholeBody,
  conditions: { readonly IfNoneMatch?: string; readonly IfMatch?: string },
): Promise<ObjectInfo> {
  const { calls, key, options, condition, input } = target
  const about = { action: 'put', key, condition }
  const stop = new AbortController()
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([stop.signal, options.signal])
  // Without checksums in the SDK's requests, the etag is what tells: hashed while the request is under way.
  const hashing = options.bare === true || (await calls.sendsChecksums()) ? null : body.md5()
  for (let attempt = 1; ; attempt += 1) {
    try {
      const open = (): PutObjectCommand => {
        const opened = body.open((error) => stop.abort(error))
        const command = new PutObjectCommand({ ...input, ...conditions, ...opened })
        if (body.sha256 !== undefined) signAs(command, body.sha256)
        return command
      }
      const { output, date } = await calls.send(open, about, signal)
      if (output.ETag === undefined)
        throw strangeAnswer(about, calls.bucket, 'the answer to a put has no ETag')
      if (options.bare !== true && output.ChecksumCRC32 !== base64Crc32(body.crc32())) {
        const sent = [{ length: body.length, md5: await (hashing ?? body.md5()) }]
        await confirmUpload(calls, key, output, sent, signal)
      }
      if (body.length > 0) options.onProgress?.(body.length)
      return await describePut(target, body.length, plainEtag(output.ETag), date)
    } catch (error) {
      // A service may refuse a condition and hang up before it has read the body, so that its answer gets lost.
      if (isUnclear(error) || (condition !== undefined && isReset(error)))
        throw await settle(target, body, error)
      if (!isRace(error) || attempt === RACE_ATTEMPTS) throw error
      await pause(attempt, options.signal)
    }
  }
}

/**
 * The answer to a put with a condition got lost, or the SDK repeated the put then and found its condition broken. If other
 * bytes are there than the put or its condition knows, somebody else put them; if the same, it may have been this put, and
 * only the caller can tell.
 */
async function settle(
  { calls, key, condition, options }: PutTarget,
  body: WholeBody,
  unclear: unknown,
): Promise<unknown> {
  let stored = await headObject(calls, key, options.signal)
  // A stream cannot be put again. Whoever the service let through in its place is there a moment later.
  const looks = body.sha256 === undefined ? 0 : LATER_LOOKS
  for (let look = 0; look < looks && stored?.etag === options.ifMatch; look += 1) {
    await delay(FIRST_LOOK_MS * 2 ** look, undefined, { signal: options.signal }).catch(() => undefined)
    stored = await headObject(calls, key, options.signal)
  }
  const isOther =
    stored === null
      ? condition === 'ifMatch'
      : stored.etag !== options.ifMatch &&
        calls.memory.etagsAreHashes &&
        isHashEtag({ ETag: stored.etag }) &&
        stored.etag !== (await body.md5()).toString('hex')
  return isOther && condition !== undefined ? conditionFailed(key, condition) : unclear
}

/** The info of an object that was just put: from its answer, or, where the server told no time, by asking. */
export async function describePut(
  { calls, key, options }: PutTarget,
  size: number,
  etag: string,
  date: Date | null,
): Promise<ObjectInfo> {
  const asked = date === null && options.bare !== true ? await headObject(calls, key, options.signal) : null
  return {
    key,
    size,
    etag,
    modifiedAt: date ?? asked?.modifiedAt ?? new Date(),
    contentType: options.contentType ?? 'application/octet-stream',
    metadata: options.metadata ?? {},
  }
}

/** The SDK signs what stands in this header, and hashes nothing itself then. */
function signAs(command: PutObjectCommand, sha256: string): void {
  command.middlewareStack.add(
    (next) => (input) => {
      const { headers } = input.request as { headers: Record<string, string> }
      headers['x-amz-content-sha256'] = sha256
      return next(input)
    },
    { step: 'build', name: 'wsSignFile' },
  )
}

async function pause(attempt: number, signal: AbortSignal | undefined): Promise<void> {
  const milliseconds = Math.random() * Math.min(LONGEST_PAUSE_MS, FIRST_PAUSE_MS * 2 ** attempt)
  await delay(milliseconds, undefined, signal === undefined ? {} : { signal }).catch(() => undefined)
  signal?.throwIfAborted()
}
