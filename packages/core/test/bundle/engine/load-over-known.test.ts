import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { memoryStore } from '@ws/store-memory'
import { useKnownTree } from '../../../src/bundle/engine/known/known-trees.ts'
import { createListedDirectories } from '../../../src/bundle/engine/load/listed-directories.ts'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import type { LoadDirectoryOptions, LoadedDirectory } from '../../../src/bundle/engine/load/load-options.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { showsNamesInChangeTime } from '../../../src/filesystem/names-in-change-time.ts'
import { listTree } from '../tree-listing.ts'
import { storeTree } from './store-tree.ts'

let base = ''
let target = ''
let repository: Repository
let record: VersionRecord

const load = (options: Partial<LoadDirectoryOptions> = {}): Promise<LoadedDirectory> =>
  loadDirectory(repository, record, target, { cacheDirectory: join(base, 'cache'), ...options })

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-known-'))
  target = join(base, 'target')
  const source = join(base, 'source')
  mkdirSync(join(source, 'top/inner'), { recursive: true })
  for (const name of ['a', 'b', 'c']) writeFileSync(join(source, `top/inner/${name}`), `content of ${name}`)
  execFileSync('ln', ['-s', 'a', join(source, 'top/inner/link')])
  execFileSync('touch', ['-d', '2020-02-02', join(source, 'top/inner/a'), join(source, 'top/inner')])
  repository = await openRepository(memoryStore())
  record = await storeTree(repository, source)
  await load()
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

const inner = (name: string): string => join(target, 'top/inner', name)

function keepTimes(path: string, change: () => void): void {
  const { atime, mtime } = statSync(path)
  change()
  utimesSync(path, atime, mtime)
}

it('that somebody else changes at the same time is a conflict, not a directory that does not exist', async () => {
  writeFileSync(join(target, 'top/inner/a'), 'changed')
  writeFileSync(join(base, 'source/file'), 'of the top')
  record = await storeTree(repository, join(base, 'source'))
  await load()
  writeFileSync(join(target, 'top/inner/a'), 'changed')
  // What is known of the top has been looked at, its directories not yet.
  let isMoved = false
  const onProgress = (): void => {
    if (!isMoved) execFileSync('mv', [join(target, 'top'), join(base, 'moved')])
    isMoved = true
  }
  await expect(load({ onProgress })).rejects.toMatchObject({ code: 'CONFLICT' })
  expect(isMoved).toBe(true)
})

/** Each is the only difference, in a directory that keeps its times. */
const changes: Record<string, () => void> = {
  'content of the same length and time': () => {
    keepTimes(inner('a'), () => writeFileSync(inner('a'), 'CONTENT of a'))
  },
  'a mode': () => chmodSync(inner('b'), 0o600),
  'a time': () => utimesSync(inner('b'), 1, 1),
  'a mode of a directory': () => chmodSync(join(target, 'top'), 0o750),
  'a time of a directory': () => utimesSync(join(target, 'top'), 1, 1),
  'a new name': () => writeFileSync(inner('d'), 'd'),
  'a name that is gone': () => rmSync(inner('c')),
  'the last name that is gone': () => rmSync(inner('link')),
  'a new last name': () => writeFileSync(inner('z'), 'z'),
  'a name for another': () => execFileSync('mv', [inner('b'), inner('bb')]),
  'two files that changed their names': () =>
    execFileSync('sh', ['-c', 'mv a x && mv b a && mv x b'], { cwd: inner('') }),
  'a second name instead of a file': () => execFileSync('ln', ['-f', inner('a'), inner('b')]),
  'another target of a link': () => execFileSync('ln', ['-sfn', 'b', inner('link')]),
  'a link for a file': () => execFileSync('ln', ['-sfn', 'b', inner('c')]),
  'a file for a link': () => {
    rmSync(inner('link'))
    writeFileSync(inner('link'), 'content of a')
  },
  'a link to a copy for a directory': () => {
    execFileSync('cp', ['-a', inner(''), join(base, 'copy')])
    rmSync(inner(''), { recursive: true })
    execFileSync('ln', ['-s', join(base, 'copy'), join(target, 'top/inner')])
  },
  'a file for a directory': () => {
    rmSync(inner(''), { recursive: true })
    writeFileSync(join(target, 'top/inner'), 'no directory')
  },
}

async function expectUndone(change: () => void): Promise<void> {
  const before = listTree(target)
  const isInside = change.toString().includes('inner(')
  if (isInside) keepTimes(inner(''), change)
  else change()
  expect(listTree(target)).not.toEqual(before)
  const { verified } = await load()
  expect(verified.files).toBeLessThan(3)
  expect(listTree(target)).toEqual(before)
}

describe('over a directory that was loaded before', () => {
  it.each(Object.entries(changes))('%s is found and undone, and nothing else is read', (_, change) =>
    expectUndone(change),
  )

  it('nothing is read, written or removed when nothing differs', async () => {
    expect(await load()).toMatchObject({
      written: { files: 0 },
      deleted: { files: 0 },
      kept: { files: 4, bytes: 36 },
      verified: { files: 0 },
      fieldsChanged: 0,
      fetchedBytes: 0,
    })
  })

  it('what is excluded is listed, though it is as it was', async () => {
    const { left } = await load({ exclude: ['top/inner/a'] })
    expect(left).toEqual([{ path: 'top/inner/a', reason: 'excluded', isInVersion: true }])
  })

  it('its limits hold for what is known', async () => {
    await expect(load({ limits: { maxEntries: 5 } })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    await expect(load({ limits: { maxFileBytes: 11 } })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    await expect(load({ limits: { maxDepth: 1 } })).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  })
})

describe('over a directory whose directories were listed long after they changed', () => {
  /** Directories that the next load would list, unless something shows that they have changed. */
  const listed = (): Promise<string[]> =>
    useKnownTree(join(base, 'cache'), repository.marker.repository, async (tree) => {
      const memory = createListedDirectories(tree, statSync(target, { bigint: true }).dev)
      return [...tree.directories]
        .filter(([path, { node }]) => {
          const stats = lstatSync(join(target, path), { bigint: true })
          return !memory.isAsListed({ path, node, entriesBelow: null, depth: 0 }, stats)
        })
        .map(([path]) => path)
        .sort()
    })

  /** For loads, what is in the directory was made long ago. */
  const letTimePass = (): void => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() + 10_000 })
    onTestFinished(() => void vi.useRealTimers())
  }
  const ifShown = (paths: readonly string[]): readonly string[] =>
    showsNamesInChangeTime(target) ? paths : ['', 'top', 'top/inner']

  beforeEach(async () => {
    letTimePass()
    expect(await listed()).toEqual(['', 'top', 'top/inner'])
    await load()
    expect(await listed()).toEqual(ifShown(['']))
  })

  it.each(Object.entries(changes))('%s is found and undone, and nothing else is read', async (_, change) => {
    await expectUndone(change)
  })

  it('only what was changed and undone is listed again', async () => {
    writeFileSync(inner('b'), 'another')
    await load()
    expect(await listed()).toEqual(ifShown(['', 'top/inner']))
    vi.useRealTimers()
    await load()
    expect(await listed()).toEqual(ifShown(['', 'top/inner']))
    letTimePass()
    await load()
    expect(await listed()).toEqual(ifShown(['']))
  })

  it('what is excluded is listed all the same', async () => {
    const { left } = await load({ exclude: ['top/inner/a'] })
    expect(left).toEqual([{ path: 'top/inner/a', reason: 'excluded', isInVersion: true }])
  })
})
