import { GetObjectCommand } from '@aws-sdk/client-s3'
import { WorkspaceError, conditionFailed, type ObjectBody, type ObjectInfo, type PutOptions } from '@ws/core'
import { bodyParts, type PartSizes } from './body-parts.ts'
import { headObject } from './head-object.ts'
import { encodeMetadata } from './object-info.ts'
import { MAX_PARTS, putInParts } from './put-in-parts.ts'
import { putWhole, wholeBytes } from './put-whole.ts'
import type { S3Calls } from './s3-calls.ts'
import { isInvalidRange, isNoSuchKey, isReset } from './s3-error.ts'
import { spoolBody } from './spool-body.ts'

/** What is known about a kind of condition at the server. */
export type ConditionSupport =
  /** It keeps the condition, atomically. */
  | 'enforced'
  /** Nobody has asked yet: the header is sent, and the state is looked at before. */
  | 'unknown'
  /** It ignores or refuses the header: the state is looked at before, and that is all. */
  | 'ignored'

export interface PutSettings extends PartSizes {
  readonly parallelParts: number
  readonly ifAbsent: ConditionSupport
  readonly ifMatch: ConditionSupport
}

/**
 * Stores a body: one request where it fits, parts in parallel where not. A condition is sent with one request only,
 * since many services ignore it where parts are put together; a large body with one waits in a temporary file.
 */
export async function putObject(
  calls: S3Calls,
  key: string,
  body: ObjectBody,
  options: PutOptions,
  settings: PutSettings,
): Promise<ObjectInfo> {
  const condition = conditionOf(options)
  const support = condition === undefined ? null : settings[condition]
  if (condition !== undefined && support !== 'enforced' && options.bare !== true)
    await assertHolds(calls, key, condition, options)
  const headers = support === 'ignored' ? {} : conditionHeaders(options)
  const target = { calls, key, options, condition, input: inputOf(calls, key, options) }
  const parts = bodyParts(key, body, options, {
    ...settings,
    partBytes: fittingPartBytes(options.size, settings),
  })
  try {
    const first = await parts.next()
    if (first.done === true || first.value.isLast) {
      const whole = wholeBytes(first.value?.bytes ?? new Uint8Array(0))
      const put = (): Promise<ObjectInfo> => putWhole(target, whole, headers)
      // With a condition, a repetition would find it broken by the first try.
      const isOnlyHere = !(body instanceof Uint8Array) && condition === undefined
      return await (isOnlyHere ? calls.retries.repeat(put, options.signal) : put())
    }
    if (support === null || support === 'ignored')
      return await putInParts(target, first.value, parts, settings.parallelParts)
    return await spoolBody(first.value, parts, (spooled) => putWhole(target, spooled, headers))
  } catch (error) {
    throw isReset(error) ? await reasonOfReset(calls, key, options.signal, error) : error
  } finally {
    // Stops the source when the put failed. Not awaited: a source that is stuck never answers.
    parts.return().catch(() => undefined)
  }
}

function fittingPartBytes(size: number | undefined, { partBytes }: PutSettings): number {
  return size === undefined ? partBytes : Math.max(partBytes, Math.ceil(size / MAX_PARTS))
}

/** A service may refuse a put and hang up before it has read the body, so that its answer gets lost. A GET has none. */
async function reasonOfReset(
  calls: S3Calls,
  key: string,
  signal: AbortSignal | undefined,
  reset: unknown,
): Promise<unknown> {
  try {
    const command = new GetObjectCommand({ Bucket: calls.bucket, Key: calls.base + key, Range: 'bytes=0-0' })
    const { output } = await calls.send(command, { action: 'put', key }, signal)
    for await (const _ of (output.Body ?? []) as AsyncIterable<Uint8Array>);
  } catch (error) {
    signal?.throwIfAborted()
    const isRefusal = (['NOT_FOUND', 'ACCESS_DENIED', 'INVALID_INPUT'] as const).some((code) =>
      WorkspaceError.is(error, code),
    )
    if (isRefusal && !isNoSuchKey(error) && !isInvalidRange(error)) return error
  }
  return reset
}

function inputOf(calls: S3Calls, key: string, { contentType, metadata }: PutOptions): PutInput {
  return {
    Bucket: calls.bucket,
    Key: calls.base + key,
    ...(contentType === undefined ? {} : { ContentType: contentType }),
    ...(metadata === undefined ? {} : { Metadata: encodeMetadata(metadata) }),
  }
}

interface PutInput {
  readonly Bucket: string
  readonly Key: string
  readonly ContentType?: string
  readonly Metadata?: Record<string, string>
}

function conditionOf({ ifAbsent, ifMatch }: PutOptions): 'ifAbsent' | 'ifMatch' | undefined {
  if (ifAbsent === true) return 'ifAbsent'
  return ifMatch === undefined ? undefined : 'ifMatch'
}

function conditionHeaders({ ifAbsent, ifMatch }: PutOptions): { IfNoneMatch?: string; IfMatch?: string } {
  if (ifAbsent === true) return { IfNoneMatch: '*' }
  return ifMatch === undefined ? {} : { IfMatch: `"${ifMatch}"` }
}

/** Looks before it leaps: the part of a condition that works everywhere. */
async function assertHolds(
  calls: S3Calls,
  key: string,
  condition: 'ifAbsent' | 'ifMatch',
  { ifMatch, signal }: PutOptions,
): Promise<void> {
  const present = await headObject(calls, key, signal)
  const holds = condition === 'ifAbsent' ? present === null : present?.etag === ifMatch
  if (!holds) throw conditionFailed(key, condition)
}
