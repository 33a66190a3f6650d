import { Buffer } from 'node:buffer'
import { WorkspaceError } from '../errors.ts'

/** Leaves room for a prefix under the 1,024 bytes that the big services allow. */
export const MAX_KEY_BYTES = 900

/**
 * Checks the key grammar that all stores share: 1 to 900 bytes of well-formed UTF-8, in segments parted by `/`;
 * no empty segment, no segment `.` or `..`, no backslash, no control character. Everything else is legal.
 * @throws `INVALID_INPUT`
 */
export function assertObjectKey(key: string): void {
  if (key === '') throw invalidKey(key, 'it is empty')
  assertCharacters(key)
  for (const segment of key.split('/')) {
    if (segment === '') throw invalidKey(key, 'it has an empty segment (a leading, trailing or double "/")')
    if (segment === '.' || segment === '..') throw invalidKey(key, `"${segment}" is not allowed as a segment`)
  }
}

/** For adapters: whether a name that a service lists is one that this library may have given. */
export function isObjectKey(name: string): boolean {
  try {
    assertObjectKey(name)
    return true
  } catch (error) {
    if (WorkspaceError.is(error)) return false
    throw error
  }
}

/** Checks what may start a key: the empty string, or the beginning of some legal key. @throws `INVALID_INPUT` */
export function assertKeyPrefix(prefix: string): void {
  if (prefix === '') return
  assertCharacters(prefix)
  const segments = prefix.split('/')
  segments.pop()
  for (const segment of segments) {
    if (segment === '') throw invalidKey(prefix, 'it has an empty segment (a leading or double "/")')
    if (segment === '.' || segment === '..')
      throw invalidKey(prefix, `"${segment}" is not allowed as a segment`)
  }
}

/** The order in which every store lists: by UTF-8 bytes. JavaScript's own order differs above U+FFFF. */
export function compareKeys(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index += 1) {
    const leftUnit = left.charCodeAt(index)
    const rightUnit = right.charCodeAt(index)
    if (leftUnit !== rightUnit) return codePointRank(leftUnit) - codePointRank(rightUnit)
  }
  return left.length - right.length
}

/** UTF-16 orders surrogates (code points from U+10000) below U+E000..U+FFFF; UTF-8 and code points, above. */
function codePointRank(unit: number): number {
  if (unit < 0xd800) return unit
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

function assertCharacters(key: string): void {
  if (typeof key !== 'string')
    throw new WorkspaceError('INVALID_INPUT', `An object key is a text, not of type ${typeof key}.`)
  const bytes = Buffer.byteLength(key)
  if (bytes > MAX_KEY_BYTES)
    throw invalidKey(key, `it is ${bytes} bytes long; at most ${MAX_KEY_BYTES} are allowed`)
  if (!key.isWellFormed()) throw invalidKey(key, 'it is not well-formed Unicode')
  // eslint-disable-next-line no-control-regex -- control characters are what this refuses
  if (/[\u0000-\u001f\u007f\\]/.test(key)) throw invalidKey(key, 'it has a control character or a backslash')
}

function invalidKey(key: string, reason: string): WorkspaceError {
  const shown = JSON.stringify(key.length > 100 ? `${key.slice(0, 100)}…` : key)
  return new WorkspaceError('INVALID_INPUT', `The object key ${shown} is not usable: ${reason}.`, {
    details: { key },
  })
}
