import { execFileSync, spawn } from 'node:child_process'
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStore } from '../../../src/bundle/bundle-store.ts'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { Workspace } from '../../../src/workspace/workspace.ts'
import { buildScript } from '../../support/build-script.ts'
import { listTree } from '../tree-listing.ts'

let base = ''
let script = ''

beforeAll(async () => {
  script = await buildScript(join(import.meta.dirname, 'killed-operation.ts'))
})

/** A store with three versions and the packs of a deleted workspace, and a directory that differs from the last version. */
beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-kill-'))
  const scene = join(base, 'scene')
  const source = join(scene, 'source')
  mkdirSync(join(source, 'folder'), { recursive: true })
  const bundles = storeIn(scene)
  const workspace = new Workspace({ id: 'w', path: source, store: bundles, stateDir: join(scene, 'state') })
  for (let version = 1; version <= 3; version += 1) {
    writeFileSync(join(source, 'folder/f'), `content ${version}`)
    await workspace.save(String(version), { tags: ['t'] })
  }
  writeFileSync(join(source, 'garbage'), 'of nobody')
  await bundles.save('garbage', source, { message: '' })
  await bundles.delete('garbage')
  appendFileSync(join(source, 'folder/f'), 'next content')
}, 60_000)

afterEach(() => execFileSync('rm', ['-rf', base]))

/** Only the processes that are killed need to sync. */
function storeIn(place: string): BundleStore {
  return createBundleStore(localStore({ root: join(place, 'store'), durability: 'none' }))
}

const NEVER = 1_000_000

/** A copy of the scene in which the operation was killed before its n-th step, if it has so many. */
async function killedAt(step: number, operation: string): Promise<{ place: string; isKilled: boolean }> {
  const place = join(base, `${operation}-${step}`)
  execFileSync('cp', ['-a', join(base, 'scene'), place])
  const preload = join(import.meta.dirname, 'kill-at-step.ts')
  const child = spawn(process.execPath, [`--import=${preload}`, script, operation, place], {
    env: { ...process.env, WS_KILL_AT: String(step), NODE_OPTIONS: '' },
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  let complaints = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => (complaints += text))
  const [code, signal] = await new Promise<[number | null, string | null]>((resolve) =>
    child.once('close', (...end: [number | null, string | null]) => resolve(end)),
  )
  if (signal === 'SIGKILL') return { place, isKilled: true }
  expect({ complaints, code }).toEqual({ complaints: '', code: 0 })
  return { place, isKilled: false }
}

async function everyVersion(bundles: BundleStore): Promise<string[]> {
  const found: string[] = []
  for await (const { workspaceId } of bundles.list())
    for await (const { version } of bundles.history(workspaceId)) {
      expect(await bundles.verify(workspaceId, { version })).toMatchObject({ problems: [] })
      found.push(`${workspaceId}@${version}`)
    }
  return found
}

const all = ['w@3', 'w@2', 'w@1']

interface Operation {
  readonly name: string
  readonly argument: string
  readonly run: (bundles: BundleStore, place: string) => Promise<unknown>
  readonly after: readonly string[]
  /** What doing it again says when it had been done already. */
  readonly doneAlready?: string
}

const open = (id: string, bundles: BundleStore, place: string): Workspace =>
  new Workspace({ id, path: join(place, 'source'), store: bundles, stateDir: join(place, 'state') })

const operations: readonly Operation[] = [
  {
    name: 'save',
    argument: 'save',
    run: (bundles, place) => open('w', bundles, place).save('next', { parent: 3 }),
    after: ['w@4', ...all],
    doneAlready: 'CONFLICT',
  },
  {
    name: 'first save',
    argument: 'first-save',
    run: (bundles, place) => open('new', bundles, place).save('next', { parent: 0 }),
    after: ['new@1', ...all],
    doneAlready: 'CONFLICT',
  },
  {
    name: 'fork',
    argument: 'fork',
    run: (bundles) => bundles.fork('w', 'fork', { version: 2 }),
    after: ['fork@1', ...all],
    doneAlready: 'ALREADY_EXISTS',
  },
  {
    name: 'prune',
    argument: 'prune',
    run: (bundles) => bundles.prune({ keepLast: 1, keepTagged: false }, { exclusive: true }),
    after: ['w@3'],
  },
]

/** As many children as the machine has cores for. */
const AT_ONCE = 2

describe.each(operations)('a process killed at any file system step of a $name', (operation) => {
  it('leaves whole versions only, the next call works, and nothing is left that grows', async () => {
    const { argument } = operation
    const unkilled = await killedAt(NEVER, argument)
    const files = await stateFilesAfterMore(unkilled.place)
    let steps = 0
    for (let step = 1; ; step += AT_ONCE) {
      const next = Array.from({ length: AT_ONCE }, (_, offset) => killedAt(step + offset, argument))
      const killed = (await Promise.all(next)).filter(({ isKilled }) => isKilled)
      for (const { place } of killed) {
        await expectToGoOn(place, operation)
        expect(await stateFilesAfterMore(place)).toEqual(files)
        execFileSync('rm', ['-rf', place])
      }
      steps += killed.length
      if (killed.length < AT_ONCE) break
    }
    expect(steps).toBeGreaterThan(8)
  }, 120_000)
})

async function expectToGoOn(place: string, { run, after, doneAlready }: Operation): Promise<void> {
  const bundles = storeIn(place)
  const left = await everyVersion(bundles)
  for (const version of left) expect([...all, ...after]).toContain(version)
  for (const version of after) if (all.includes(version)) expect(left).toContain(version)
  const again = await run(bundles, place).catch((error: { code?: string }) => error.code ?? error)
  if (typeof again === 'string') expect([again, left]).toEqual([doneAlready, after])
  else expect(again).not.toBeInstanceOf(Error)
  await bundles.prune(null, { exclusive: true })
  expect(await everyVersion(bundles)).toEqual(after)
  expect((await bundles.usage()).unreferencedBytes).toBe(0)
}

/** What is on disk beside versions and packs after one more save: names without what is random or of the machine in them. */
async function stateFilesAfterMore(place: string): Promise<string[]> {
  writeFileSync(join(place, 'source/more'), 'more')
  await open('w', storeIn(place), place).save('more')
  const state = Object.keys(listTree(join(place, 'state')))
  const temporary = ['temporary', 'locks'].flatMap((name) => readdirSync(join(place, 'store/%ws', name)))
  return [...state, ...temporary].map((path) => path.replaceAll(/[0-9a-f]{12,}/g, '*')).sort()
}
