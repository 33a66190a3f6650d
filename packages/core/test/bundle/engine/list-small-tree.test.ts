import { mkdirSync, mkdtempSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { listSmallTree } from '../../../src/bundle/engine/save/list-small-tree.ts'
import { excludeFilter } from '../../../src/bundle/exclude-filter.ts'
import { toByteString } from '../../../src/filesystem/directory-handle.ts'

let base = ''
const holdsMany = (most: number, ...exclude: string[]): boolean =>
  listSmallTree(toByteString(join(base, 'tree')), most, excludeFilter(exclude)) === null

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-many-'))
  mkdirSync(join(base, 'tree/é/deep'), { recursive: true })
  for (const name of ['a', 'é/b', 'é/deep/c']) writeFileSync(join(base, 'tree', name), '')
})

afterEach(() => rmSync(base, { recursive: true, force: true }))

describe('a tree of five entries', () => {
  it('has more than four and not more than five, at any depth and under any name', () => {
    expect([4, 5].map((most) => holdsMany(most))).toEqual([true, false])
  })

  it('has fewer when something is excluded', () => {
    expect(holdsMany(2, 'é/deep')).toBe(true)
    expect(holdsMany(3, 'é/deep')).toBe(false)
  })

  it('does not count what its links point at', () => {
    mkdirSync(join(base, 'elsewhere'))
    for (let file = 0; file < 20; file += 1) writeFileSync(join(base, 'elsewhere', `${file}`), '')
    symlinkSync(join(base, 'elsewhere'), join(base, 'tree/link'))
    expect(holdsMany(6)).toBe(false)
  })
})

it('a directory that is not there holds nothing', () => {
  expect(listSmallTree(toByteString(join(base, 'absent')), 0, () => false)?.directories.size).toBe(0)
})

it('does not list a directory that is long to list, but says that it holds many', () => {
  const long = join(base, 'tree/long')
  mkdirSync(long)
  for (let file = 0; file < 2500; file += 1) writeFileSync(join(long, `${file}`.padEnd(250, '-')), '')
  // How long a directory says to be is up to the file system.
  expect(holdsMany(1_000_000)).toBe(statSync(long).size > 512 * 1024)
})
