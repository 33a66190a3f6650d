import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'

const CASES = 26
const page = readFileSync(join(import.meta.dirname, '../../../../docs/bundle-guarantees.md'), 'utf8')
const rows = [...page.matchAll(/^\| (\d+) \| .+? \| (`.+) \|$/gm)].map(([, number = '', tests = '']) => ({
  number: Number(number),
  tests: tests.split('<br>').map((text) => {
    const [, file = '', name = ''] = /^`(.+?)` (.+)$/.exec(text) ?? []
    return { file, name }
  }),
}))

describe('the page about what versions guarantee', () => {
  it('has every hard case, in order', () => {
    expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: CASES }, (_, index) => index + 1))
  })

  it.each(rows.flatMap(({ number, tests }) => tests.map((test) => ({ number, ...test }))))(
    'names a test that exists for case $number: $name',
    ({ file, name }) => {
      const source = readFileSync(join(import.meta.dirname, `${file}.test.ts`), 'utf8')
      expect(source).toContain(`'${name}'`)
    },
  )
})
