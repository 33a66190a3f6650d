import { createHash } from 'node:crypto'
import { expect, it } from 'vitest'
import { bodyChecksum } from '../../src/index.ts'

it('says the same whenever it is asked, also of a hash that gives its digest once', () => {
  for (const [text, problem] of [
    ['right', null],
    ['wrong', 'another hash'],
  ] as const) {
    const expected = createHash('md5').update('right').digest('hex')
    const hash = createHash('md5')
    const checksum = bodyChecksum(
      (chunk) => void hash.update(chunk),
      () => (hash.digest('hex') === expected ? null : 'another hash'),
    )
    checksum.update(Buffer.from(text.slice(0, 2)))
    checksum.update(Buffer.from(text.slice(2)))
    expect(checksum.bytes).toBe(5)
    expect([checksum.problem(), checksum.problem()]).toEqual([problem, problem])
  }
})
