import { ListObjectsV2Command, type ListObjectsV2CommandOutput, type _Object } from '@aws-sdk/client-s3'
import { WorkspaceError, compareKeys, isObjectKey, type ListOptions, type ObjectInfo } from '@ws/core'
import { toObjectInfo } from './object-info.ts'
import type { S3Calls } from './s3-calls.ts'
import { strangeAnswer } from './s3-error.ts'

/** Whether a service lists by the keys' bytes; `unknown` until somebody has looked. */
export type ListOrder = 'bytes' | 'other' | 'unknown'

/**
 * Lists page by page, with the next page under way while the second half of one is read.
 *
 * A service that does not list by bytes is found out by what it sends. One page is sorted here; where there are more,
 * the list rejects, since keys may fall between the pages of such a service.
 * @throws `UNSUPPORTED` for a list in another order that has more than one page
 */
export async function* listObjects(
  calls: S3Calls,
  prefix: string,
  { startAfter = '', signal }: ListOptions,
  order: ListOrder,
): AsyncGenerator<ObjectInfo> {
  // A service with an order of its own would take the position in that.
  const position = order === 'other' || startAfter === '' ? undefined : calls.base + startAfter
  let page = await requestPage(calls, prefix, { position, signal })
  let last = ''
  const left = new AbortController()
  const either = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal])
  try {
    for (let isFirst = true; ; isFirst = false) {
      const infos = infosOf(calls, prefix, page)
      const isWhole = isFirst && page.nextToken === null
      if (isWhole) infos.sort((one, other) => compareKeys(one.key, other.key))
      else if (order === 'other' || !isAscending(infos, last)) throw unordered(calls, prefix)
      last = infos.at(-1)?.key ?? last
      let next: Promise<Page> | null = null
      for (const [index, info] of infos.entries()) {
        if (index >= infos.length / 2) next ??= followingPage(calls, prefix, page, either)
        if (startAfter !== '' && compareKeys(info.key, startAfter) <= 0) continue
        signal?.throwIfAborted()
        yield info
      }
      next ??= followingPage(calls, prefix, page, either)
      if (next === null) return
      page = await next
    }
  } finally {
    // The next page of a list that was left may never come.
    left.abort()
  }
}

/** The keys as the service gives them out in pages of this size, whatever their order. */
export async function* listPageByPage(
  calls: S3Calls,
  prefix: string,
  pageKeys: number,
  signal: AbortSignal | undefined,
): AsyncGenerator<string> {
  let token: string | null | undefined
  while (token !== null) {
    const page: Page = await requestPage(calls, prefix, {
      signal,
      pageKeys,
      ...(token === undefined ? {} : { token }),
    })
    for (const { key } of infosOf(calls, prefix, page)) yield key
    token = page.nextToken
  }
}

interface Page {
  readonly objects: readonly _Object[]
  readonly isUrlEncoded: boolean
  /** `null` at the end. */
  readonly nextToken: string | null
}

function followingPage(
  calls: S3Calls,
  prefix: string,
  { nextToken }: Page,
  signal: AbortSignal | undefined,
): Promise<Page> | null {
  if (nextToken === null) return null
  const next = requestPage(calls, prefix, { token: nextToken, signal })
  // Awaited later, or never.
  next.catch(() => undefined)
  return next
}

async function requestPage(
  calls: S3Calls,
  prefix: string,
  from: {
    readonly position?: string | undefined
    readonly token?: string
    readonly pageKeys?: number
    readonly signal: AbortSignal | undefined
  },
): Promise<Page> {
  const about = { action: 'list', key: prefix }
  const command = new ListObjectsV2Command({
    Bucket: calls.bucket,
    Prefix: calls.base + prefix,
    // XML cannot hold every character that somebody's key may have.
    EncodingType: 'url',
    ...(from.pageKeys === undefined ? {} : { MaxKeys: from.pageKeys }),
    ...(from.position === undefined ? {} : { StartAfter: from.position }),
    ...(from.token === undefined ? {} : { ContinuationToken: from.token }),
  })
  const { output } = await calls.send(command, about, from.signal)
  const { IsTruncated, NextContinuationToken, Contents = [], EncodingType } = output
  // A page of HTML parses as a list of nothing; taken for one, everything would seem to be gone.
  if (!isList(output)) throw strangeAnswer(about, calls.bucket, 'the answer to a list is no list')
  const nextToken = IsTruncated === true ? NextContinuationToken : null
  if (nextToken === undefined || (nextToken !== null && nextToken === from.token))
    throw strangeAnswer(about, calls.bucket, 'a list goes on, but not from where')
  return { objects: Contents, isUrlEncoded: EncodingType === 'url', nextToken }
}

function isList({ IsTruncated, Name, KeyCount }: ListObjectsV2CommandOutput): boolean {
  return IsTruncated !== undefined && (Name !== undefined || KeyCount !== undefined)
}

/** The objects of a page that this store could have put; somebody's folder markers and the like are not shown. */
function infosOf(calls: S3Calls, prefix: string, { objects, isUrlEncoded }: Page): ObjectInfo[] {
  const infos: ObjectInfo[] = []
  for (const object of objects) {
    const name = isUrlEncoded ? decode(object.Key ?? '') : (object.Key ?? '')
    if (!name.startsWith(calls.base + prefix)) continue
    const key = name.slice(calls.base.length)
    if (!isObjectKey(key)) continue
    const info = toObjectInfo(key, object.Size, object)
    if (info === null)
      throw strangeAnswer({ action: 'list', key: prefix }, calls.bucket, 'an entry describes no object')
    infos.push(info)
  }
  return infos
}

/** AWS writes a space as `+`, others as `%20`; a plus is `%2B` for all. */
function decode(name: string): string {
  try {
    return decodeURIComponent(name.replaceAll('+', ' '))
  } catch {
    return ''
  }
}

function isAscending(infos: readonly ObjectInfo[], last: string): boolean {
  let previous = last
  for (const { key } of infos) {
    if (previous !== '' && compareKeys(previous, key) >= 0) return false
    previous = key
  }
  return true
}

function unordered(calls: S3Calls, prefix: string): WorkspaceError {
  return new WorkspaceError(
    'UNSUPPORTED',
    `Cannot list ${JSON.stringify(prefix === '' ? calls.bucket : prefix)} in S3: the service does not list by the keys' bytes, so keys may be missing between its pages. Use a general purpose bucket, or another service.`,
    { details: { key: prefix, bucket: calls.bucket } },
  )
}
