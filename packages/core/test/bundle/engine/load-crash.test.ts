import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { recoverDirectory } from '../../../src/filesystem/work-directory.ts'
import { Workspace } from '../../../src/workspace/workspace.ts'
import { buildScript } from '../../support/build-script.ts'
import { containerKinds, mountOverlay } from '../../support/overlay.ts'
import { asPlainUser, giveToPlainUser } from '../../support/plain-user.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { listTree, withoutTimes } from '../tree-listing.ts'
import type { Death, DyingLoad } from './dying-load.ts'
import { storeTree } from './store-tree.ts'

let base = ''
let script = ''
let target = ''
let repository: Repository
let oldVersion: VersionRecord
let newVersion: VersionRecord
let newTree: ReturnType<typeof listTree>

beforeAll(async () => {
  script = await buildScript(join(import.meta.dirname, 'dying-load.ts'))
})

beforeEach(async () => {
  base = temporaryDirectory()
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
     import { openRepository } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/repository/repository.ts'))}
     import { loadDirectory } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/load/load-directory.ts'))}
     const [base, target] = process.argv.slice(2)
     const repository = await openRepository(localStore({ root: base + '/store' }))
     const record = JSON.parse(readFileSync(base + '/record.json', 'utf8'))
     globalThis.startCounting()
     await loadDirectory(repository, record, target, { cacheDirectory: null })
     globalThis.reportCount()`,
  )
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

/** In one process, so that there is time for all of them: it dies in each directory at the given step. */
function dieIn(jobs: readonly DyingLoad[], isPlain = false): Death[] {
  writeFileSync(join(base, 'jobs.json'), JSON.stringify(jobs))
  const preload = join(import.meta.dirname, 'die-at-step.ts')
  const node = [`--import=${preload}`, script, base]
  const { command, parameters, user } = isPlain
    ? asPlainUser(process.execPath, node)
    : { command: process.execPath, parameters: node, user: {} }
  const child = spawnSync(command, parameters, {
    encoding: 'utf8',
    env: { ...process.env, NODE_OPTIONS: '' },
    ...user,
  })
  if (child.signal !== 'SIGKILL') throw new Error(child.stderr)
  return JSON.parse(child.stdout) as Death[]
}

const NEVER = 1_000_000

interface Scene {
  readonly name: string
  /** Makes what is at the path before the load. */
  readonly make: (path: string) => void
  readonly isClosed?: boolean
  /** In a lower layer of what such a container sees. */
  readonly container?: string
}

const scenes: readonly Scene[] = [
  { name: 'a full directory', make: (path) => execFileSync('cp', ['-a', target, path]) },
  { name: 'an empty directory', make: (path) => mkdirSync(path) },
  { name: 'an absent directory', make: () => undefined },
  {
    // Its work directory lies inside of it, and its entries are moved one by one.
    name: 'an empty directory whose parent is closed',
    make: (path) => mkdirSync(path),
    isClosed: true,
  },
  // None of its directories can be renamed.
  ...containerKinds.map((container) => ({
    name: `a full directory of a lower layer (a container ${container})`,
    make: (path: string) => execFileSync('cp', ['-a', target, path]),
    container,
  })),
]

/** Makes so many directories for one scene, owned by a user without privileges where one must be at work. */
function setUp(scene: Scene, names: readonly string[]): { paths: string[]; isPlain: boolean } {
  const isPlain = scene.isClosed === true
  const make = (place: string) => (name: string) => {
    const parent = join(place, name)
    mkdirSync(parent)
    const path = join(parent, 'target')
    scene.make(path)
    if (isPlain) giveToPlainUser(path)
    if (scene.isClosed === true) chmodSync(parent, 0o555)
    return path
  }
  if (scene.container !== undefined) {
    const merged = mountOverlay(
      mkdtempSync(join(base, 'layers-')),
      (lower) => names.forEach(make(lower)),
      scene.container,
    )
    return { paths: names.map((name) => join(merged, name, 'target')), isPlain }
  }
  const paths = names.map(make(base))
  if (isPlain) execFileSync('chmod', ['-R', 'a+rX', base])
  return { paths, isPlain }
}

/** Of the second load in a process: the first one also finds out about the system. */
function measure(scene: Scene): { before: unknown; total: number } {
  const { paths, isPlain } = setUp(scene, ['first', 'second'])
  const before = stateOf(scene.name.startsWith('a full directory') ? target : (paths[0] ?? ''))
  const counts = dieIn(
    paths.map((directory) => ({ kind: 'load', directory, step: NEVER })),
    isPlain,
  )
  return { before, total: counts[1]?.steps ?? 0 }
}

function stateOf(path: string): unknown {
  return existsSync(path) ? { mode: statSync(path).mode, tree: listTree(path) } : null
}

function leftovers(path: string): string[] {
  const inside = existsSync(path) ? readdirSync(path) : []
  return [...inside, ...readdirSync(dirname(path))].filter((name) => name.startsWith('.'))
}

async function expectOldOrNew(path: string, before: unknown): Promise<string> {
  const recovery = await recoverDirectory(path)
  const state = stateOf(path)
  const after = { mode: statSync(join(base, 'reference')).mode, tree: newTree }
  if (recovery === 'completed') expect(state).toEqual(after)
  else if (recovery === 'undone') expect(state).toEqual(before)
  // Nothing was begun, or nothing is left of it.
  else expect([before, after]).toContainEqual(state)
  expect(leftovers(path)).toEqual([])
  return String(recovery)
}

describe('a process killed while it loads', () => {
  it.each(scenes)(
    'into $name leaves the old content or the new after the next call, which says which, at every step',
    async (scene) => {
      const { before, total } = measure(scene)
      const steps = Array.from({ length: total }, (_, index) => index + 1)
      const { paths, isPlain } = setUp(
        scene,
        steps.map((step) => `step-${step}`),
      )
      const deaths = dieIn(
        paths.map((directory, index) => ({ kind: 'load', directory, step: index + 1 })),
        isPlain,
      )
      expect(deaths.every(({ isDead }) => isDead)).toBe(true)
      const outcomes = new Set<string>()
      for (const path of paths) outcomes.add(await expectOldOrNew(path, before))
      expect([...outcomes].sort()).toEqual(['completed', 'null', 'undone'])
    },
  )

  it.each(scenes)('into $name, and again at every step of putting that right', async (scene) => {
    const { before, total } = measure(scene)
    // What is put right differs near the end; before, a load only stages.
    const deaths = [Math.ceil(total / 3), ...Array.from({ length: 4 }, (_, index) => total - 5 * index)]
    const trial = setUp(
      scene,
      deaths.map((step) => `trial-${step}`),
    )
    const dying = deaths.map((step, index) => ({ directory: trial.paths[index] ?? '', step }))
    dieIn(
      dying.map((each) => ({ ...each, kind: 'load' })),
      trial.isPlain,
    )
    const repairs = dieIn(
      dying.map(({ directory }) => ({ directory, step: NEVER, kind: 'recover' })),
      trial.isPlain,
    )
    const pairs = deaths.flatMap((step, index) =>
      Array.from({ length: repairs[index]?.steps ?? 0 }, (_, repair) => ({ step, repair: repair + 1 })),
    )
    const { paths, isPlain } = setUp(
      scene,
      pairs.map(({ step, repair }) => `step-${step}-${repair}`),
    )
    dieIn(
      pairs.map(({ step }, index) => ({ kind: 'load', directory: paths[index] ?? '', step })),
      isPlain,
    )
    const ends = dieIn(
      pairs.map(({ repair }, index) => ({ kind: 'recover', directory: paths[index] ?? '', step: repair })),
      isPlain,
    )
    expect(ends.filter(({ isDead }) => isDead).length).toBeGreaterThan(ends.length / 2)
    for (const path of paths) await expectOldOrNew(path, before)
  })

  it('by the system leaves the old version or the new one, too', async () => {
    execFileSync('cp', ['-a', target, join(base, 'saved')])
    const before = stateOf(target)
    const { steps } = loadInChild(target, 0)
    for (const step of [Math.ceil(steps / 2), steps - 8, steps]) {
      execFileSync('rm', ['-rf', target])
      execFileSync('cp', ['-a', join(base, 'saved'), target])
      expect(loadInChild(target, step).isKilled).toBe(true)
      await expectOldOrNew(target, before)
    }
  })

  it('leaves nothing half done for a save or a snapshot', async () => {
    const scene = scenes[0] as Scene
    const { total } = measure(scene)
    const steps = Array.from({ length: 15 }, (_, index) => Math.floor(total * (0.5 + index / 30)))
    const { paths } = setUp(
      scene,
      steps.map((step) => `step-${step}`),
    )
    dieIn(paths.map((directory, index) => ({ kind: 'load', directory, step: steps[index] ?? 0 })))
    const trees = { old: withoutTimes(listTree(target)), new: withoutTimes(newTree) }
    const ends = new Set<string>()
    let halfDone = 0
    for (const [index, path] of paths.entries()) {
      const found = withoutTimes(listTree(path))
      const isWhole = Object.values(trees).some((tree) => isDeepStrictEqual(tree, found))
      if (!isWhole) halfDone += 1
      const options = { id: 'work', path, stateDir: join(base, 'state'), store: memoryStore() }
      const workspace = new Workspace(options)
      // The one or the other comes first.
      const snapshot = index % 2 === 0 ? await workspace.snapshot({ strategy: 'hash' }) : null
      await workspace.save('after a kill')
      const copy = new Workspace({ ...options, path: `${path}-copy` })
      await copy.load()
      const saved = withoutTimes(listTree(copy.path))
      const end = Object.entries(trees).find(([, tree]) => isDeepStrictEqual(tree, saved))?.[0]
      ends.add(end ?? 'a mixture')
      if (snapshot !== null) expect((await workspace.diff(snapshot)).changedPaths).toEqual([])
    }
    expect(halfDone).toBeGreaterThan(2)
    expect([...ends].filter((end) => end !== 'old' && end !== 'new')).toEqual([])
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
