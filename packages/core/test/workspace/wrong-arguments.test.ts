import { mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { beforeEach, expect, it } from 'vitest'
import {
  collectAbandonedState,
  createBundle,
  createArtifactStore,
  createBundleStore,
  createRunRecordStore,
  executeRun,
  extractBundle,
  openStore,
  probeStore,
  readOnly,
  reliableStore,
  restoreSession,
  runOnce,
  withCapabilities,
  withConcurrencyLimit,
  withPrefix,
  withRetry,
  withTimeout,
  Workspace,
  type ObjectStore,
  type Snapshot,
} from '../../src/index.ts'
import { createRepository, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

let path = ''
let stateDir = ''
let workspace: Workspace
let snapshot: Snapshot

beforeEach(async () => {
  const base = temporaryDirectory()
  path = join(base, 'work')
  stateDir = join(base, 'state')
  mkdirSync(path)
  writeFiles(path, { 'a.txt': 'one\n' })
  workspace = new Workspace({ id: 'w', path, store: memoryStore(), stateDir })
  snapshot = await workspace.snapshot({ strategy: 'bundle' })
})

/** What may stand in the place of a number, and what is said of it. */
function transferred(): Uint8Array {
  const bytes = new Uint8Array(8)
  structuredClone(bytes, { transfer: [bytes.buffer] })
  return bytes
}

const noNumbers: Record<string, readonly [value: unknown, shown: RegExp]> = {
  'an empty text': ['', /an empty text/],
  'a number as text': ['5', /a text of length 1/],
  true: [true, /not true/],
  'a list': [[], /a list/],
  null: [null, /not null/],
  NaN: [Number.NaN, /not NaN/],
  'a BigInt': [5n, /of type bigint/],
  'a Symbol': [Symbol('five'), /of type symbol/],
}

/** A call for each place where a message shows what was given. */
const shown: Record<string, (value: never) => unknown> = {
  'version of load': (version) => workspace.load({ version }),
  'version of fork': (version) => workspace.fork('other', { version }),
  'version of readFile': (version) => workspace.readFile('a.txt', { version }),
  'version of verify': (version) => workspace.verify({ version }),
  'version of diffVersions': (version) => Array.fromAsync(workspace.diffVersions(version, 1)),
  'path of readFile': (value) => workspace.readFile(value),
  'keepLast of prune': (keepLast) => workspace.prune({ keepLast }),
  'graceMs of prune': (graceMs) => workspace.prune({ keepLast: 1 }, { graceMs }),
  'strategy of snapshot': (strategy) => workspace.snapshot({ strategy }),
  'limits of snapshots': (maxFiles) => new Workspace({ id: 'w', path, limits: { maxFiles } }),
  'format of createBundle': (format) => createBundle(path, { format }),
  'level of createBundle': (level) => createBundle(path, { level }),
  'mode of extractBundle': (mode) => extractBundle(new Uint8Array(), path, { mode }),
  'profile of extractBundle': (profile) => extractBundle(new Uint8Array(), path, { profile }),
  'id of a workspace': (id) => new Workspace({ id, path }),
  'id of fork': (id) => workspace.fork(id),
  tag: (value) => createBundleStore(memoryStore()).untag('w', 1, value),
}

/** Calls by somebody without types, or in a hurry, and what the answer has to say. */
const calls: Record<string, readonly [call: () => unknown, says: RegExp]> = {
  ...Object.fromEntries(
    Object.entries({
      createBundleStore,
      createArtifactStore,
      createRunRecordStore,
      probeStore,
      readOnly,
      reliableStore,
      withConcurrencyLimit,
      withRetry,
      withTimeout,
      withCapabilities: (store: ObjectStore) => withCapabilities(store, {}),
      withPrefix: (store: ObjectStore) => withPrefix(store, 'a'),
    }).flatMap(([name, make]) => [
      [`${name} of a promise`, [() => make(openStore('memory:') as never), /a promise: await it first/]],
      [`${name} of nothing`, [() => make(undefined as never), new RegExp(`^${name} needs a store`)]],
    ]),
  ),
  ...Object.fromEntries(
    Object.entries(noNumbers).map(([name, [value, shown]]) => [
      `maxSnapshotBytes of ${name}`,
      [() => new Workspace({ id: 'w', path, maxSnapshotBytes: value as never }), shown],
    ]),
  ),
  'a URL for a path': [
    () => Workspace.at(new URL('file:///tmp') as never),
    /a text, not an object; fileURLToPath/,
  ],
  'an empty path': [() => Workspace.at(''), /this one is empty/],
  'an empty run id': [() => executeRun(workspace, () => 1, { runId: '' }), /runId of executeRun must be a text that is not empty/], // prettier-ignore
  'an empty run id of a run with records': [() => runOnce(workspace, () => 1, { runId: '', records: createRunRecordStore(memoryStore()) }), /runId of runOnce must be/], // prettier-ignore
  'two keys': [() => createBundleStore(memoryStore(), { encryption: { passphrase: 'a', key: new Uint8Array(32) } }), /either a passphrase or a key/], // prettier-ignore
  'an encryption with nothing': [() => createBundleStore(memoryStore(), { encryption: {} as never }), /either a passphrase or a key/], // prettier-ignore
  'withPrefix without one': [() => withPrefix(memoryStore(), undefined as never), /key is a text/],
  'createRunRecordStore with a misspelt option': [() => createRunRecordStore(memoryStore(), { prefx: 'a' } as never), /no option "prefx"/], // prettier-ignore
  'put without a body': [() => memoryStore().put('a', undefined as never), /the body must be a Uint8Array/],
  'put of bytes that were transferred': [() => memoryStore().put('a', transferred()), /was transferred/],
  'an artifact store that is none': [() => executeRun(workspace, () => 1, { artifactStore: memoryStore() as never }), /createArtifactStore\(store\) makes one/], // prettier-ignore
  'records that are a store': [() => runOnce(workspace, () => 1, { records: memoryStore() as never }), /createRunRecordStore\(store\) makes one/], // prettier-ignore
  'a save that is no message': [() => executeRun(workspace, () => 1, { save: true as never }), /save of a run is a message/], // prettier-ignore
  'a fork without an id': [() => workspace.fork(undefined as never), /a workspace needs one/],
  'a load of a bundle store without a directory': [() => createBundleStore(memoryStore()).load('w', undefined as never), /needs the path of a directory/], // prettier-ignore
  'a version as text': [() => workspace.load({ version: '1' as never }), /from 1, not "1"/],
  'ignore paths as text': [() => workspace.snapshot({ ignore: { paths: 'dist' as never } }), /paths of ignore must be a list/], // prettier-ignore
  'ignore defaults as text': [() => workspace.snapshot({ ignore: { defaults: 'no' as never } }), /defaults of ignore must be true or false/], // prettier-ignore
  'half a snapshot': [() => workspace.rollback({ ref: snapshot.ref, backend: 'bundle' } as never), /That is no snapshot/], // prettier-ignore
  'a rollback with no signal for a signal': [() => workspace.rollback(snapshot, { signal: new AbortController() as never }), /an AbortSignal/], // prettier-ignore
  'a policy that is none': [() => workspace.prune(undefined as never), /^The retention policy of prune/],
  'a session without a store': [() => restoreSession({ workspace: Workspace.at(path) }), /a workspace with a store/], // prettier-ignore
  'a state directory that is a file': [() => new Workspace({ id: 'w', path, stateDir: join(path, 'a.txt') }).snapshot(), /inside the workspace|is a file/], // prettier-ignore
}

it.each(Object.keys(calls))('is refused with a sentence that helps: %s', async (name) => {
  const [call, says] = calls[name] ?? [() => undefined, /^$/]
  const error: unknown = await (async () => call())().catch((reason: unknown) => reason)
  expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(says) })
})

it.each(
  Object.keys(shown).flatMap((name) =>
    [10n, Symbol('ten'), Number.NaN, [[10n]]].map((value) => [name, value] as const),
  ),
)('shows a value that cannot be: %s %o', async (name, value) => {
  await workspace.save('first')
  const error: unknown = await (async () => shown[name]?.(value as never))().catch(
    (reason: unknown) => reason,
  )
  expect(error).toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringMatching(/10n|Symbol\(ten\)|NaN|a list|of type/),
  })
})

it('refuses metadata that JSON cannot hold, before anything is stored or run', async () => {
  const store = memoryStore()
  const records = createRunRecordStore(store)
  const cycle: unknown[] = []
  cycle.push(cycle)
  let hasRun = false
  const agent = () => void (hasRun = true)
  for (const metadata of [
    { fine: 1, spent: 10n },
    { fine: 1, spent: { deep: cycle } },
  ]) {
    const refusal = { code: 'INVALID_INPUT', message: expect.stringContaining('"spent"') }
    await expect(executeRun(workspace, agent, { metadata })).rejects.toMatchObject(refusal)
    await expect(runOnce(workspace, agent, { metadata, records })).rejects.toMatchObject(refusal)
  }
  await expect(runOnce(workspace, agent, { runId: 10n as never, records })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
  expect(hasRun).toBe(false)
  expect(await Array.fromAsync(store.list(''))).toEqual([])
})

it('says of a state directory that is a file what it is, and of a "~" that only shells know it', async () => {
  const file = join(temporaryDirectory(), 'file')
  writeFileSync(file, '')
  const misplaced = new Workspace({ id: 'w', path, stateDir: file })
  await expect(misplaced.snapshot()).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('is a file'),
  })
  await expect(Workspace.at('~/project').snapshot()).rejects.toMatchObject({
    code: 'NOT_FOUND',
    message: expect.stringContaining('Only a shell knows "~"'),
  })
})

it('names what is gone when the id of a snapshot was changed, in the place of two equal names', async () => {
  const changed = { ...snapshot, id: 'nothing' }
  await expect(workspace.rollback(changed)).rejects.toMatchObject({ code: 'NOT_FOUND' })
})

it('removes no abandoned state for a time that is no number', async () => {
  const gone = join(temporaryDirectory(), 'gone')
  createRepository(gone, { 'a.txt': 'x' })
  const other = new Workspace({ id: 'gone', path: gone, stateDir })
  await other.snapshot()
  rmSync(gone, { recursive: true })
  const kept = readdirSync(stateDir)
  for (const options of [
    { unusedForMs: 'all' },
    { unusedForMs: Number.NaN },
    { dryRun: 'no' },
    { stateDir: 5 },
  ])
    await expect(collectAbandonedState({ stateDir, ...options } as never)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  expect(readdirSync(stateDir)).toEqual(kept)
})

it('keeps run records below a prefix with or without a slash at its end', async () => {
  const store = memoryStore()
  for (const prefix of ['host', 'host/'])
    await createRunRecordStore(store, { prefix }).put({
      runId: prefix,
      workspaceId: 'w',
      path,
      status: 'running',
      startedAt: '',
      metadata: {},
    })
  const keys = (await Array.fromAsync(store.list(''))).map(({ key }) => key)
  expect(keys).toEqual(['host/runs/w/host%2F.json', 'host/runs/w/host.json'])
})
