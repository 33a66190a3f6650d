import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import {
  backupSession,
  checkBundle,
  createBundle,
  createBundleStore,
  executeRun,
  extractBundle,
  restoreSession,
  withConcurrencyLimit,
  withRetry,
  withTimeout,
  Workspace,
  type BundleStore,
  type RestoreSessionOptions,
} from '../../src/index.ts'
import { setLongTimer } from '../../src/set-long-timer.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

let path = ''
let bundles: BundleStore
let workspace: Workspace

beforeEach(async () => {
  path = join(temporaryDirectory(), 'work')
  mkdirSync(path)
  writeFiles(path, { n: 'x', 'docs/d': 'x', 'node_modules/m': 'x' })
  bundles = createBundleStore(memoryStore())
  workspace = new Workspace({ id: 'w', path, store: bundles, stateDir: temporaryDirectory() })
  await workspace.save('one')
})

/** Values that were once taken for something else than what the caller meant. */
const refused: readonly (readonly [string, object, (given: object) => unknown])[] = [
  ...[
    { exclude: 'node_modules' },
    { paths: 'docs' },
    { exclude: null },
    { onDamage: 'Skip' },
    { mode: 'Exact' },
    { signal: {} },
    { onProgress: 'no' },
    { limits: { maxEntries: Number.NaN } },
    { limits: { maxFileBytes: '5' } },
  ].map((given) => ['load', given, (options: object) => bundles.load('w', path, options)] as const),
  ...[{ exclude: 'node_modules' }, { signal: null }].map(
    (given) =>
      ['save', given, (options: object) => bundles.save('w', path, { message: '', ...options })] as const,
  ),
  ...[{ exclusive: 'no' }, { dryRun: 'no' }, { listDelayMs: '5' }, { now: '2020-01-01' }].map(
    (given) => ['prune', given, (options: object) => bundles.prune({ keepLast: 1 }, options)] as const,
  ),
  ...[{ keepTagged: 'release' }, { keepTagged: [7] }, { keepTagged: null }].map(
    (given) => ['prune', given, (policy: object) => bundles.prune(policy)] as const,
  ),
  ['download', { format: 'zip' }, (options) => bundles.download('w', options)],
  ['verify', { repair: null }, (options) => bundles.verify('w', options)],
  ['readFile', { range: { offset: 1 } }, (options) => bundles.readFile('w', 'n', options)],
  ['readFile', { range: { start: '0' } }, (options) => bundles.readFile('w', 'n', options)],
  ['save', { cacheDirectory: '' }, (options) => bundles.save('w', path, { message: '', ...options })],
  ['save', { metadata: new Map([['a', 'b']]) }, (options) => workspace.save('', options)],
  ['save', { metadata: new Headers({ a: 'b' }) }, (options) => workspace.save('', options)],
  ['tag', { force: true }, (options) => bundles.tag('w', 1, 't', options)],
  ['usage', { id: 'w' }, (options) => bundles.usage(options)],
  ['createBundleStore', { encryption: null }, (options) => createBundleStore(memoryStore(), options)],
  ['Workspace', { exclude: 'node_modules' }, (options) => new Workspace({ id: 'w', path, ...options })],
  ['createBundle', { exclude: 'node_modules' }, (options) => createBundle(path, options)],
  [
    'extractBundle',
    { keepDirectory: 'no' },
    (options) => extractBundle(createBundle(path), `${path}-2`, options),
  ],
  ['executeRun', { load: 'yes' }, (options) => executeRun(workspace, () => 1, options)],
  ['executeRun', { load: { paths: 'docs' } }, (options) => executeRun(workspace, () => 1, options)],
  ['executeRun', { timeoutMs: '5' }, (options) => executeRun(workspace, () => 1, options)],
  ['executeRun', { onBusy: 'Refuse' }, (options) => executeRun(workspace, () => 1, options)],
  ['restoreSession', { workspace: './repo' }, (options) => restoreSession(options as RestoreSessionOptions)],
  ['backupSession', {}, () => backupSession(undefined as unknown as Workspace)],
  ['withConcurrencyLimit', { maxCalls: 0 }, (options) => withConcurrencyLimit(memoryStore(), options)],
  ['withRetry', { attempts: Number.NaN }, (options) => withRetry(memoryStore(), options)],
  ['withTimeout', { callTimeoutMs: -1 }, (options) => withTimeout(memoryStore(), options)],
]

describe('a value that an option cannot have', () => {
  it.each(refused)('is refused by %s: %j', async (_call, given, call) => {
    const before = readdirSync(path)
    const error: unknown = await (async () => call(given))().catch((reason: unknown) => reason)
    expect(error).toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringMatching(/must be|has no option|needs a workspace/),
    })
    expect(readdirSync(path)).toEqual(before)
  })

  it.each([null, undefined, 7, {}])('is refused where an archive should be: %j', async (given) => {
    const archive = given as unknown as Uint8Array
    for (const call of [
      () => bundles.upload('u', archive),
      () => extractBundle(archive, join(path, 'new')),
      () => checkBundle(archive),
    ])
      await expect(call()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('a call of a bundle store', () => {
  it.each([undefined, null, '', 7, 'a\0b'])(
    'is refused where the path of a directory should be: %j',
    async (given) => {
      const workingDirectory = process.cwd()
      const empty = temporaryDirectory()
      process.chdir(empty)
      try {
        const directory = given as string
        const refusal = { code: 'INVALID_INPUT', details: { option: 'directory' } }
        await expect(bundles.load('w', directory)).rejects.toMatchObject(refusal)
        await expect(bundles.save('w', directory, { message: '' })).rejects.toMatchObject(refusal)
        expect(readdirSync(empty)).toEqual([])
      } finally {
        process.chdir(workingDirectory)
      }
    },
  )

  it('is refused where its cache would be saved with the directory, or removed by a load', async () => {
    symlinkSync(path, `${path}-link`)
    for (const cacheDirectory of [path, join(path, 'not', 'yet'), join(`${path}-link`, 'cache')]) {
      const refusal = { code: 'INVALID_INPUT', details: { option: 'cacheDirectory' } }
      await expect(bundles.save('w', path, { message: '', cacheDirectory })).rejects.toMatchObject(refusal)
      await expect(bundles.load('w', path, { cacheDirectory })).rejects.toMatchObject(refusal)
    }
    expect(readdirSync(path).sort()).toEqual(['docs', 'n', 'node_modules'])
  })

  it.each([
    [undefined, 1],
    [1, undefined],
  ])('is refused where the number of a version is missing: %j to %j', async (from, to) => {
    const changes = workspace.diffVersions(from as number, to as number)
    await expect(Array.fromAsync(changes)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it.each(['../work', '..', 'docs/../..', './../n'])(
    'is refused where a pattern leaves the directory, so that nothing would be left out: %s',
    async (pattern) => {
      const options = { exclude: [pattern] }
      await expect(workspace.save('', options)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
      await expect(workspace.load(options)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    },
  )

  it.each([null, 'author'])('is refused where options should be: %j', async (given) => {
    const options = given as unknown as object
    await expect(workspace.save('', options)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(workspace.load(options)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('says what is wrong with a path of links that lead to each other', async () => {
    symlinkSync('two', join(path, '..', 'one'))
    symlinkSync('one', join(path, '..', 'two'))
    const looped = join(path, '..', 'one')
    await expect(bundles.load('w', looped)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const circle = new Workspace({ id: 'w', path: looped, store: bundles, stateDir: temporaryDirectory() })
    await expect(circle.save('')).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('an option that is undefined', () => {
  it('has its default: what the workspace leaves out is left alone by a load', async () => {
    const careful = new Workspace({
      id: 'careful',
      path,
      store: bundles,
      exclude: ['**/node_modules'],
      stateDir: temporaryDirectory(),
    })
    const { report } = await careful.save('without modules', { exclude: undefined })
    expect(report.excluded).toEqual(['node_modules'])
    writeFiles(path, { 'node_modules/later': 'x' })
    await careful.load({ exclude: undefined, cacheDirectory: undefined })
    expect(readdirSync(join(path, 'node_modules')).sort()).toEqual(['later', 'm'])
  })

  it('lets the signal of the run abort its load', async () => {
    const controller = new AbortController()
    const running = executeRun(workspace, () => 1, {
      signal: controller.signal,
      load: { signal: undefined, onProgress: () => controller.abort(new Error('enough')) },
    })
    writeFiles(path, { n: 'changed' })
    await expect(running).rejects.toThrow('enough')
  })
})

it('a run that is to be saved needs a workspace with a store, before its agent works for nothing', async () => {
  let hasRun = false
  const running = executeRun(path, () => void (hasRun = true), { save: 'after' })
  await expect(running).rejects.toMatchObject({ code: 'INVALID_INPUT', details: { option: 'store' } })
  expect(hasRun).toBe(false)
})

describe('a run whose work could not be saved', () => {
  it('from an older version than the latest is refused before its agent works for nothing', async () => {
    await workspace.save('two')
    let runs = 0
    const agent = () => void (runs += 1)
    const load = { version: 1 }
    await expect(executeRun(workspace, agent, { load, save: 'three' })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { expected: 1, winner: 2 },
    })
    expect(runs).toBe(0)
    const rebased = await executeRun(workspace, agent, {
      load,
      save: { message: 'three', onConflict: 'rebase' },
    })
    expect(rebased.workspace?.saved?.version).toMatchObject({ version: 3 })
    await executeRun(workspace, agent, { load })
    expect(runs).toBe(2)
  })

  it('of a template is refused before its agent works for nothing', async () => {
    await workspace.save('to be forked', { template: true })
    let hasRun = false
    const agent = () => void (hasRun = true)
    await expect(executeRun(workspace, agent, { load: true, save: 'x' })).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    expect(hasRun).toBe(false)
    await executeRun(workspace, agent, { load: true })
    expect(hasRun).toBe(true)
  })
})

describe('a time that is longer than a timer can wait', () => {
  beforeEach(() => void vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] }))
  afterEach(() => void vi.useRealTimers())
  const HOUR_MS = 3_600_000

  it.each([Infinity, 2 ** 31])('does not end an agent at once: %d ms', async (timeoutMs) => {
    const agent = () => vi.advanceTimersByTimeAsync(HOUR_MS)
    const { status } = await executeRun(workspace, agent, { timeoutMs })
    expect(status).toBe('completed')
  })

  it('does not end a call at once', async () => {
    const head = () => vi.advanceTimersByTimeAsync(HOUR_MS).then(() => null)
    const slow = { ...memoryStore(), head }
    expect(await withTimeout(slow, { callTimeoutMs: Infinity }).head('a')).toBeNull()
  })

  it('ends when it is over', async () => {
    let calls = 0
    setLongTimer(() => (calls += 1), 2 ** 32)
    const cancel = setLongTimer(() => (calls += 1), 2 ** 32)
    await vi.advanceTimersByTimeAsync(2 ** 32 - 1)
    expect(calls).toBe(0)
    cancel()
    await vi.advanceTimersByTimeAsync(1)
    expect(calls).toBe(1)
  })
})

it('a cache directory that cannot be one costs time and nothing else', async () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, '')
  const cacheDirectory = join(file, 'cache')
  const { version } = await bundles.save('w', path, { message: 'two', cacheDirectory })
  expect(version.version).toBe(2)
  expect(await bundles.load('w', path, { cacheDirectory })).toMatchObject({ version: { version: 2 } })
  const inTheWay = temporaryDirectory()
  mkdirSync(join(inTheWay, 'last-version.new', 'full'), { recursive: true })
  expect(await bundles.save('w', path, { message: 'three', cacheDirectory: inTheWay })).toBeDefined()
})
