import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { localStore } from '@ws/store-local'
import { loadDirectory } from '../../../src/bundle/engine/load-directory.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { recoverDirectory } from '../../../src/filesystem/work-directory.ts'
import { listTree } from '../tree-listing.ts'
import { storeTree } from './store-tree.ts'

let base = ''
let target = ''
let repository: Repository
let oldVersion: VersionRecord
let newVersion: VersionRecord
let oldTree: ReturnType<typeof listTree>
let newTree: ReturnType<typeof listTree>

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-load-crash-'))
  target = join(base, 'target')
  const source = join(base, 'source')
  mkdirSync(join(source, 'a/b'), { recursive: true })
  mkdirSync(join(source, 'gone/deep'), { recursive: true })
  for (const name of ['one', 'a/two', 'a/b/three', 'gone/deep/four', 'kind'])
    writeFileSync(join(source, name), `old ${name}`)
  symlinkSync('one', join(source, 'link'))
  repository = await openRepository(localStore({ root: join(base, 'store') }))
  oldVersion = await storeTree(repository, source)
  await loadDirectory(repository, oldVersion, target, { cacheDirectory: null })
  oldTree = listTree(target)
  rmSync(join(source, 'gone'), { recursive: true })
  unlinkSync(join(source, 'kind'))
  mkdirSync(join(source, 'kind/inner'), { recursive: true })
  for (const name of ['one', 'a/b/three', 'kind/inner/five', 'a/six'])
    writeFileSync(join(source, name), `new ${name}`)
  unlinkSync(join(source, 'link'))
  symlinkSync('a/six', join(source, 'link'))
  newVersion = await storeTree(repository, source)
  await loadDirectory(repository, newVersion, join(base, 'reference'), { cacheDirectory: null })
  newTree = listTree(join(base, 'reference'))
  writeFileSync(join(base, 'record.json'), JSON.stringify(newVersion))
  writeFileSync(
    join(base, 'child.ts'),
    `import { readFileSync } from 'node:fs'
     import { localStore } from ${JSON.stringify(join(import.meta.dirname, '../../../../store-local/src/index.ts'))}
     import { openRepository } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/repository.ts'))}
     import { loadDirectory } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/load-directory.ts'))}
     const [base, target] = process.argv.slice(2)
     const repository = await openRepository(localStore({ root: base + '/store' }))
     const record = JSON.parse(readFileSync(base + '/record.json', 'utf8'))
     globalThis.startCounting()
     await loadDirectory(repository, record, target, { cacheDirectory: null })
     globalThis.reportCount()`,
  )
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

function loadInChild(directory: string, killAt: number): { steps: number; isKilled: boolean } {
  const preload = join(import.meta.dirname, 'kill-at-step.ts')
  const child = spawnSync(
    process.execPath,
    ['--conditions=@ws/source', `--import=${preload}`, join(base, 'child.ts'), base, directory],
    { encoding: 'utf8', env: { ...process.env, WS_KILL_AT: String(killAt), NODE_OPTIONS: '' } },
  )
  if (child.signal === null && child.status !== 0) throw new Error(child.stderr)
  return { steps: Number(/steps (\d+)/.exec(child.stdout)?.[1] ?? 0), isKilled: child.signal === 'SIGKILL' }
}

/** Kills at each of so many steps, spread over all of them, the last one included. */
function* spread(steps: number, kills: number): Generator<number> {
  for (let kill = 1; kill <= Math.min(kills, steps); kill += 1)
    yield Math.ceil((kill * steps) / Math.min(kills, steps))
}

describe('a process killed while it loads', () => {
  it('over a full directory leaves the old version or the new one after the next call, which says which', async () => {
    execFileSync('cp', ['-a', target, join(base, 'saved')])
    const { steps } = loadInChild(target, 0)
    expect(listTree(target)).toEqual(newTree)
    const outcomes = new Set<string>()
    for (const step of spread(steps, 24)) {
      execFileSync('rm', ['-rf', target])
      execFileSync('cp', ['-a', join(base, 'saved'), target])
      expect(loadInChild(target, step).isKilled).toBe(true)
      const recovery = await recoverDirectory(target)
      const tree = listTree(target)
      if (recovery === 'completed') expect(tree).toEqual(newTree)
      else if (recovery === 'undone') expect(tree).toEqual(oldTree)
      // Killed before the work directory had an owner, or after it was emptied: there is nothing to put right.
      else expect([oldTree, newTree]).toContainEqual(tree)
      outcomes.add(String(recovery))
      if (recovery !== null) expect(readdirSync(base).filter((name) => name.startsWith('.'))).toEqual([])
    }
    expect([...outcomes].sort()).toEqual(expect.arrayContaining(['completed', 'undone']))
  })

  it('into an absent directory leaves nothing or the whole version', async () => {
    const fresh = join(base, 'fresh')
    const { steps } = loadInChild(fresh, 0)
    for (const step of spread(steps, 7)) {
      rmSync(fresh, { recursive: true, force: true })
      expect(loadInChild(fresh, step).isKilled).toBe(true)
      const isThere = readdirSync(base).includes('fresh')
      const result = await loadDirectory(repository, newVersion, fresh, { cacheDirectory: null })
      expect(listTree(fresh)).toEqual(newTree)
      expect(result.written.files === 0).toBe(isThere)
      expect(readdirSync(base).filter((name) => name.startsWith('.'))).toEqual([])
    }
  })

  it('ends an interrupted load at the next one, and keeps what was changed in between', async () => {
    execFileSync('cp', ['-a', target, join(base, 'saved')])
    const { steps } = loadInChild(target, 0)
    let seen = 0
    for (let step = steps; step > 0 && seen < 3; step -= 2) {
      execFileSync('rm', ['-rf', target])
      execFileSync('cp', ['-a', join(base, 'saved'), target])
      loadInChild(target, step)
      const work = readdirSync(base).find((name) => name.startsWith('.ws-work-'))
      if (work === undefined || !readdirSync(join(base, work)).includes('journal')) continue
      seen += 1
      const path = join(target, 'one')
      const isOld = readFileSync(path, 'utf8').startsWith('old')
      appendFileSync(path, ', and mine')
      const result = await recoverDirectory(target)
      expect(result).toBe('completed')
      expect(readFileSync(path, 'utf8')).toBe(`${isOld ? 'old' : 'new'} one, and mine`)
    }
    expect(seen).toBe(3)
  })
})
