import { lstatSync, readFileSync, readdirSync, readlinkSync } from 'node:fs'
import { Buffer } from 'node:buffer'
import { expect } from 'vitest'

export interface ListedEntry {
  readonly type: string
  readonly mode: string
  readonly content?: string
  /** Entries that are one file share this number. */
  readonly links?: string
  readonly mtimeUs: number
}

/** Everything that can be seen of a tree, by path, for comparing two of them. Directories keep their times. */
export function listTree(root: string): Record<string, ListedEntry> {
  const result: Record<string, ListedEntry> = {}
  const firstNames = new Map<string, string>()
  const walk = (directory: Buffer, prefix: string): void => {
    for (const name of readdirSync(directory, { encoding: 'buffer' }).sort((left, right) =>
      left.compare(right),
    )) {
      const path = Buffer.concat([directory, Buffer.from('/'), name])
      const shown = prefix + name.toString('latin1')
      const stats = lstatSync(path, { bigint: true })
      const mtimeUs = Number((stats.mtimeNs - (((stats.mtimeNs % 1000n) + 1000n) % 1000n)) / 1000n)
      const mode = (Number(stats.mode) & 0o7777).toString(8)
      if (stats.isSymbolicLink()) {
        result[shown] = { type: 'symlink', mode: '', content: readlinkSync(path, 'latin1'), mtimeUs }
      } else if (stats.isDirectory()) {
        result[shown] = { type: 'directory', mode, mtimeUs }
        walk(path, `${shown}/`)
      } else if (stats.isFile()) {
        const key = String(stats.ino)
        const first = firstNames.get(key) ?? shown
        firstNames.set(key, first)
        const links = stats.nlink > 1n ? first : ''
        result[shown] = { type: 'file', mode, content: readFileSync(path).toString('latin1'), links, mtimeUs }
      } else result[shown] = { type: 'other', mode, mtimeUs }
    }
  }
  walk(Buffer.from(root), '')
  return result
}

export function withoutTimes(tree: Record<string, ListedEntry>): Record<string, unknown> {
  const untimed = ({ type, mode, content, links }: ListedEntry) => ({ type, mode, content, links })
  return Object.fromEntries(Object.entries(tree).map(([path, entry]) => [path, untimed(entry)]))
}

/** Times compare to the microsecond, give or take one: that is what the numbers of an archive can say. */
export function expectSameTree(
  actual: Record<string, ListedEntry>,
  expected: Record<string, ListedEntry>,
): void {
  expect(withoutTimes(actual)).toEqual(withoutTimes(expected))
  const off = Object.keys(expected).filter(
    (path) => Math.abs((actual[path]?.mtimeUs ?? 0) - (expected[path]?.mtimeUs ?? 0)) > 2,
  )
  expect(off).toEqual([])
}
