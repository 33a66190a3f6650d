import { inspect } from 'node:util'
import { plainCause, redactSecrets } from '@ws/core'
import { describe, expect, it } from 'vitest'

const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJyb2xlIjoic2VydmljZV9yb2xlIn0.c2lnbmF0dXJl'

describe('text of a service', () => {
  it.each([
    ['https://a/?X-Amz-Signature=fe5f80f7&X-Amz-Credential=AK/x', ['fe5f80f7', 'AK/x']],
    ['https://a/?X-Goog-Signature=0a1b2c3d', ['0a1b2c3d']],
    ['https://a/b?sv=2026&sig=abc%2Fdef%3D&se=1', ['abc%2Fdef']],
    [`https://a/object/sign/b/c?token=${jwt}`, [jwt, 'c2lnbmF0dXJl']],
    ['AccountName=a;AccountKey=Zm9vYmFy/+==;BlobEndpoint=x', ['Zm9vYmFy']],
    ['authorization: Bearer ya29.a0Af_-token', ['ya29', 'a0Af']],
    ['authorization: SharedKey account:c2lnbmF0dXJl=', ['c2lnbmF0dXJl']],
    ['AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/2026, Signature=fe5f80f7', ['AKIAIOSF', 'fe5f80f7']],
    ["The MAC signature found in the HTTP request 'c2lnbmF0dXJl' is not", ['c2lnbmF0dXJl']],
    [`apikey: ${jwt}`, [jwt]],
    [`"${jwt}" is an invalid header value`, [jwt, 'c2lnbmF0dXJl']],
    ['{"access_token":"ya29.a0Af_-token"}', ['ya29', 'a0Af']],
    ['sb_secret_abcdefgh', ['abcdefgh']],
    ['http://user:password@proxy/', ['password']],
    ['the secret is wJalr/XUtn+, or wJalr%2FXUtn%2B', ['wJalr']],
  ])('loses what can sign in: %s', (text, hidden) => {
    for (const each of hidden) expect(redactSecrets(text, ['wJalr/XUtn+'])).not.toContain(each)
    expect(redactSecrets(text, ['wJalr/XUtn+'])).toContain('[redacted]')
  })

  it('keeps all other words', () => {
    const words = 'The bucket "signatures" has no key a/b=c; tokens: none. Basic rules apply.'
    expect(redactSecrets(words, ['short', ''])).toBe(words)
  })
})

describe('the error of an SDK', () => {
  const inner = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:9'), { code: 'ECONNREFUSED' })
  const request = { headers: { authorization: `Bearer ${jwt}` } }
  const original = Object.assign(
    new TypeError('fetch failed for https://a/?sig=abcdefgh', { cause: inner }),
    { request, response: { request, config: { key: 'secret-of-the-client' } }, code: 'E_SDK' },
  )

  it('keeps name, message, code, stack and causes', () => {
    const cause = plainCause(original)
    expect(cause).toMatchObject({ name: 'TypeError', code: 'E_SDK', message: 'fetch failed for https://a/?sig=[redacted]' }) // prettier-ignore
    expect(cause.stack).toContain('plain-cause.test.ts')
    expect(cause.stack).not.toContain('abcdefgh')
    expect(cause.cause).toMatchObject({ message: inner.message, code: 'ECONNREFUSED' })
  })

  it('loses the request and all else that hangs on it', () => {
    const everything = inspect(plainCause(original), { depth: 20, showHidden: true, getters: true })
    for (const hidden of [jwt, 'secret-of-the-client', 'authorization'])
      expect(everything).not.toContain(hidden)
  })

  it('loses secrets in its name, its code and the frames of its stack', () => {
    const error = Object.assign(new Error('no'), { name: 'known-secret', code: 'known-secret' })
    error.stack = 'Error: no\n    at connect (https://host/?key=known-secret)'
    const everything = inspect(plainCause(error, ['known-secret']), { showHidden: true })
    expect(everything).not.toContain('known-secret')
    expect(everything).toContain('at connect')
  })

  it('may hold itself, be long or be no error at all', () => {
    const circle = new Error('a')
    circle.cause = circle
    expect(plainCause(circle).message).toBe('a')
    expect(plainCause(new Error('x'.repeat(5_000))).message).toHaveLength(1_000)
    const cut = plainCause(new Error(`${'x'.repeat(990)}known-secret`), ['known-secret'])
    expect(cut.message).not.toContain('known')
    expect(plainCause('Bearer abcdefghij').message).toBe('Bearer [redacted]')
    expect(plainCause(undefined).message).toBe('undefined')
  })
})
