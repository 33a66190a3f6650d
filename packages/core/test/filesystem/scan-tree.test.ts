import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { comparePaths } from '../../src/filesystem/scan-order.ts'
import { sortKey } from '../../src/filesystem/scan-names.ts'
import { scanTree, type ScanOptions } from '../../src/filesystem/scan-tree.ts'
import { encodePath } from '../../src/filesystem/path-text.ts'
import type { ScanEntry } from '../../src/filesystem/scan-entry.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

function scan(root: string, options: Partial<ScanOptions> = {}): ScanEntry[] {
  const walk = scanTree({
    root,
    omissionOf: () => null,
    previous: [],
    onUnknown: () => undefined,
    onOmitted: () => undefined,
    onUnstable: () => undefined,
    ...options,
  })
  for (;;) {
    const step = walk.next()
    if (step.done === true) return step.value
  }
}

test('lists files, links and empty directories once, in one fixed order', () => {
  const root = temporaryDirectory()
  writeFiles(root, { 'a/b': '', 'a.b': '', a0: '', 'c/d/e': '' })
  mkdirSync(join(root, 'c/empty'))
  symlinkSync('c', join(root, 'link'))
  expect(scan(root).map(({ path, type }) => `${type} ${path}`)).toEqual([
    'file a.b',
    'file a/b',
    'file a0',
    'file c/d/e',
    'directory c/empty',
    'symlink link',
  ])
})

test('the order is that of the sort keys for any names', () => {
  const name = fc
    .stringMatching(/^[a-c.\-0\ue000\u{1f600}\u00e9]{1,3}$/u)
    .filter((text) => !/^\.\.?$/.test(text))
  fc.assert(
    fc.property(fc.array(fc.array(name, { minLength: 1, maxLength: 3 }), { maxLength: 12 }), (paths) => {
      const root = mkdtempSync(join(tmpdir(), 'ws-test-'))
      try {
        for (const segments of paths) mkdirSync(join(root, ...segments), { recursive: true })
        const entries = scan(root)
        expect(entries.map(sortKey)).toEqual(entries.map(sortKey).toSorted())
      } finally {
        rmSync(root, { recursive: true })
      }
    }),
    { numRuns: 60 },
  )
})

test('pauses often enough for a directory of any width, and goes on where it was', () => {
  const root = temporaryDirectory()
  for (let index = 0; index < 700; index += 1) writeFileSync(join(root, `f${index}`), '')
  let pauses = 0
  const walk = scanTree({
    root,
    omissionOf: () => null,
    previous: [],
    onUnknown: () => undefined,
    onOmitted: () => undefined,
    onUnstable: () => undefined,
  })
  let step = walk.next()
  for (; step.done !== true; step = walk.next()) pauses += 1
  expect(pauses).toBe(5)
  expect(step.value.length).toBe(700)
})

test('paths compare like their bytes', () => {
  const path = fc.string({ unit: fc.constantFrom('a', '/', 'é', '\uffff', '\u{1f600}', '\udcff', '\udc80') })
  fc.assert(
    fc.property(path, path, (left, right) => {
      expect(Math.sign(comparePaths(left, right))).toBe(
        Math.sign(encodePath(left).compare(encodePath(right))),
      )
    }),
  )
})
