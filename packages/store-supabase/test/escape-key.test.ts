import fc from 'fast-check'
import { compareKeys } from '@ws/core'
import { describe, expect, it } from 'vitest'
import { assertSupabaseKey, escapeKey, MAX_KEY_BYTES, unescapeKey } from '../src/escape-key.ts'

/** What the service takes, without spaces (which it trims) and `?` (which only an encoded URL carries). */
const TAKEN = /^[\w/!\-.*'()&$@=;:+,?]*$/

const character = fc.oneof(
  fc.constantFrom(...Array.from(' !"#$%&\'()*+,-./0123456789:;<=>?@AZ[]^_`az{|}~')),
  fc.constantFrom('\u0080', 'é', '\u07ff', '\u0800', '日', '\ud7ff', '\ue000', '\uffff', '😀', '\u{10ffff}'),
)
const key = fc
  .array(character, { minLength: 1, maxLength: 40 })
  .map((characters) => characters.join(''))
  .filter((text) => {
    try {
      assertSupabaseKey(text)
      return true
    } catch {
      return false
    }
  })

describe('the name of a key', () => {
  it('holds only what the service takes, and stands for that key alone', () => {
    fc.assert(
      fc.property(key, (text) => {
        expect(escapeKey(text)).toMatch(TAKEN)
        expect(unescapeKey(escapeKey(text))).toBe(text)
      }),
      { numRuns: 2_000 },
    )
  })

  it('is in the order of the keys', () => {
    fc.assert(
      fc.property(key, key, (left, right) => {
        const names = Buffer.compare(Buffer.from(escapeKey(left)), Buffer.from(escapeKey(right)))
        expect(Math.sign(names)).toBe(Math.sign(compareKeys(left, right)))
      }),
      { numRuns: 5_000 },
    )
  })

  it('begins with the name of a prefix exactly when the key begins with the prefix', () => {
    fc.assert(
      fc.property(key, key, (left, right) => {
        expect(escapeKey(left).startsWith(escapeKey(right))).toBe(left.startsWith(right))
        expect(escapeKey(left + right).startsWith(escapeKey(left))).toBe(true)
      }),
      { numRuns: 2_000 },
    )
  })

  it('is never longer than the service takes', () => {
    for (const char of [
      ...Array.from(' !"#$%&\'()*+,-.0:;<=>?@AZ[]^_`az{|}~'),
      '\u0080',
      'é',
      '\u0800',
      '日',
      '😀',
      '\u{10ffff}',
    ]) {
      const longest = char.repeat(Math.floor(MAX_KEY_BYTES / Buffer.byteLength(char)))
      expect(escapeKey(longest).length).toBeLessThanOrEqual(900)
    }
    expect(() => assertSupabaseKey('k'.repeat(MAX_KEY_BYTES + 1))).toThrow(/at most 450/)
  })

  it.each([
    'z',
    'zz',
    'z9',
    'z5',
    'z5~~',
    'z500',
    'z6001',
    'z7zzzz',
    '_',
    '_2',
    '!',
    '!9',
    'Z',
    'a//b',
    'a/',
    '..',
    'ü',
  ])('is not %j, which another program may have made', (name) => {
    expect(unescapeKey(name)).toBeNull()
  })
})
