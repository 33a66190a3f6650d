import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import {
  isCount,
  isFilledText,
  isFlag,
  isFunction,
  isObject,
  isOneOf,
  isPositive,
  isSignal,
  isText,
} from '../option-checks.ts'
import type {
  ByteRange,
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  PutOptions,
  SignedUrlOptions,
} from './object-store.ts'

const callOptionNames: OptionNames<CallOptions> = { signal: isSignal }
const getOptionNames: OptionNames<GetOptions> = { ...callOptionNames, range: isObject, reusesChunks: isFlag }
const listOptionNames: OptionNames<ListOptions> = { ...callOptionNames, startAfter: isText }
const signedUrlOptionNames: OptionNames<SignedUrlOptions> = {
  ...callOptionNames,
  method: isOneOf('GET', 'PUT'),
  expiresInMs: isPositive,
}
const putOptionNames: OptionNames<PutOptions> = {
  ...callOptionNames,
  bare: isFlag,
  ifAbsent: isFlag,
  ifMatch: isFilledText,
  size: isCount,
  contentType: isText,
  metadata: isObject,
  onProgress: isFunction,
}

const MAX_METADATA_BYTES = 2_048

/**
 * Checks the options of a `put`, and its body, before anything is read or sent, in the words that all stores share.
 * @throws `INVALID_INPUT`
 */
export function assertPutOptions(key: string, options: PutOptions, body: ObjectBody): void {
  if (!(body instanceof Uint8Array) && !isAsyncIterable(body))
    throw invalid(
      key,
      'the body must be a Uint8Array or an async iterable of them; Buffer.from(text) makes one',
    )
  if (body instanceof Uint8Array && isTransferred(body.buffer))
    throw invalid(
      key,
      'the body was transferred to somebody else, as a thread, and is empty now; pass a copy',
    )
  assertKnownOptions('put', options, putOptionNames)
  const { ifAbsent, ifMatch, contentType, metadata } = options
  if (ifAbsent === true && ifMatch !== undefined)
    throw invalid(key, 'ifAbsent and ifMatch exclude each other', { condition: 'both' })
  if (contentType !== undefined && !/^[\x20-\x7e]{1,255}$/.test(contentType))
    throw invalid(key, 'contentType must be 1 to 255 printable ASCII characters')
  if (metadata !== undefined) assertMetadata(key, metadata)
}

/** It looks like one of no bytes then. */
function isTransferred(buffer: ArrayBufferLike): boolean {
  return buffer instanceof ArrayBuffer && buffer.detached
}

/** The same for a `get`, its range among them as far as that needs no size. @throws `INVALID_INPUT` */
export function assertGetOptions(key: string, options: GetOptions): void {
  assertKnownOptions('get', options, getOptionNames)
  if (options.range !== undefined) assertByteRange(key, options.range)
}

/** The same for `head` and `delete`; others than theirs may be among the options, such as those of the `get` that follows. @throws `INVALID_INPUT` */
export function assertCallOptions(call: 'head' | 'delete', options: CallOptions): void {
  const isGiven = typeof options === 'object' && options !== null && isSignal(options) !== null
  assertKnownOptions(call, isGiven ? { signal: options.signal } : options, callOptionNames)
}

/** The same for a `list`. @throws `INVALID_INPUT` */
export function assertListOptions(options: ListOptions): void {
  assertKnownOptions('list', options, listOptionNames)
}

/** The same for a `signedUrl`; how long a URL can last is for the store to say. @throws `INVALID_INPUT` */
export function assertSignedUrlOptions(options: SignedUrlOptions): void {
  assertKnownOptions('signedUrl', options, signedUrlOptionNames)
  if (options.method === undefined)
    throw new WorkspaceError('INVALID_INPUT', 'A signed URL is for one method: give method "GET" or "PUT".')
}

/**
 * The bytes that a range means in an object of `size` bytes, with the end filled in and cut to the size.
 * @throws `INVALID_INPUT` when it starts at or past the end, is empty, or is not made of whole numbers
 */
export function resolveByteRange(
  key: string,
  range: ByteRange,
  size: number,
): { start: number; end: number } {
  assertByteRange(key, range)
  if (range.start >= size)
    throw invalid(key, `the range starts at ${range.start}, but the object has ${size} bytes`, { size })
  return { start: range.start, end: Math.min(range.end ?? size, size) }
}

/** The part of {@link resolveByteRange} that needs no size. @throws `INVALID_INPUT` */
export function assertByteRange(key: string, range: ByteRange): void {
  const isWhole = (value: number): boolean => Number.isSafeInteger(value) && value >= 0
  const { start, end } = range
  if (!isWhole(start) || (end !== undefined && (!isWhole(end) || end <= start)))
    throw invalid(key, `the range ${start}..${end ?? ''} is not a range of bytes`)
}

/** The error of a `put` whose condition does not hold. */
export function conditionFailed(key: string, condition: 'ifAbsent' | 'ifMatch'): WorkspaceError {
  const reason =
    condition === 'ifAbsent'
      ? 'the key has an object already'
      : 'the object was replaced or deleted since its etag was read'
  return new WorkspaceError('CONFLICT', `Cannot put ${shown(key)}: ${reason}. Read it, then decide.`, {
    details: { key, condition },
  })
}

/** The error of a `put` whose body is not as long as its `size` option said. */
export function sizeMismatch(key: string, expected: number, actual: number): WorkspaceError {
  const seen = actual > expected ? 'is longer' : `ended after ${actual} bytes`
  return invalid(key, `size says ${expected} bytes, but the body ${seen}`, { expected })
}

function assertMetadata(key: string, metadata: Readonly<Record<string, string>>): void {
  let bytes = 0
  for (const [name, value] of Object.entries(metadata)) {
    if (!/^[a-z0-9-]+$/.test(name))
      throw invalid(key, `the metadata name ${shown(name)} is not made of a-z, 0-9 and "-"`)
    if (typeof value !== 'string' || !/^[\x20-\x7e]*$/.test(value))
      throw invalid(key, `the metadata value of "${name}" is not printable ASCII`)
    bytes += name.length + value.length
  }
  if (bytes > MAX_METADATA_BYTES)
    throw invalid(key, `the metadata has ${bytes} bytes; at most ${MAX_METADATA_BYTES} are allowed`)
}

function invalid(
  key: string,
  reason: string,
  details: Readonly<Record<string, string | number>> = {},
): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', `The call on ${shown(key)} is not acceptable: ${reason}.`, {
    details: { key, ...details },
  })
}

function shown(text: string): string {
  return JSON.stringify(text.length > 100 ? `${text.slice(0, 100)}…` : text)
}

function isAsyncIterable(value: unknown): boolean {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}
