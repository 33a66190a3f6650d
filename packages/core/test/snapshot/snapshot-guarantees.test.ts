import { globSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { describe, expect, it } from 'vitest'

const CASES = 99
const root = join(import.meta.dirname, '../../../..')
const pagePath = join(root, 'docs/snapshot-guarantees.md')
const rows = [...readFileSync(pagePath, 'utf8').matchAll(/^\| (\d+) \| (.+) \| (.+) \| (.*) \|$/gm)].map(
  ([, number = '', name = '', guarantee = '', links = '']) => ({
    number: Number(number),
    name,
    guarantee,
    files: [...links.matchAll(/\]\(([^)]+)\)/g)].map(([, target = '']) => join(dirname(pagePath), target)),
  }),
)

/** The numbers in the names of tests, by file. */
const shown = new Map(
  globSync('packages/*/test/**/*.test.ts', { cwd: root, exclude: ['**/node_modules/**'] }).map((file) => {
    const source = readFileSync(join(root, file), 'utf8')
    const numbers = [...source.matchAll(/\(cases? ([\d, ]+)\)/g)].flatMap(([, list = '']) =>
      list.split(',').map(Number),
    )
    return [join(root, file), new Set(numbers)] as const
  }),
)

const filesThatShow = (number: number) =>
  [...shown]
    .filter(([, numbers]) => numbers.has(number))
    .map(([file]) => relative(root, file))
    .toSorted()

describe('the page about what snapshots guarantee', () => {
  it('has every hard case once, in order', () => {
    expect(rows.map(({ number }) => number)).toEqual(Array.from({ length: CASES }, (_, index) => index + 1))
  })

  it('has no case that a test names and it does not', () => {
    const numbers = new Set([...shown.values()].flatMap((of) => [...of]))
    expect([...numbers].filter((number) => !rows.some((row) => row.number === number))).toEqual([])
  })

  it.each(rows)('links to tests that name case $number: $name', ({ number, guarantee, files }) => {
    expect(files).not.toEqual([])
    expect(filesThatShow(number)).toEqual(expect.arrayContaining(files.map((file) => relative(root, file))))
    expect(guarantee).toMatch(/^[A-Z`.].+\.$/)
  })
})
