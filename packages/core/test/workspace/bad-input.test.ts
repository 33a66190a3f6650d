import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { gunzipSync } from 'node:zlib'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it, onTestFinished } from 'vitest'
import {
  backupSession,
  checkBundle,
  createArtifactStore,
  createBundle,
  createBundleStore,
  executeRun,
  extractBundle,
  openStore,
  reliableStore,
  restoreSession,
  withRetry,
  withTimeout,
  Workspace,
  WorkspaceError,
  type ErrorCode,
  type ObjectStore,
} from '../../src/index.ts'
import { asPlainUser } from '../support/plain-user.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { describeTree } from '../support/describe-tree.ts'
import { createRepository, git, temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

const run = promisify(execFile)

/** The call rejects with this code and a sentence that says what to do, and neither directory nor store has changed. */
async function expectRefusal(
  call: () => unknown,
  code: ErrorCode,
  untouched: { readonly directory?: string; readonly store?: ObjectStore } = {},
): Promise<WorkspaceError> {
  const before = untouched.directory === undefined ? null : describeTree(untouched.directory, { skip: [] })
  const keys = untouched.store === undefined ? null : await keysOf(untouched.store)
  const error = await (async () => call())().then(
    () => null,
    (reason: unknown) => reason,
  )
  if (!WorkspaceError.is(error))
    throw new Error('The call was not refused with a WorkspaceError.', { cause: error })
  expect(error.code, error.message).toBe(code)
  expect(error.message).toMatch(/^[^\n]{20,}[.!?)]$/)
  if (untouched.directory !== undefined)
    expect(describeTree(untouched.directory, { skip: [] })).toEqual(before)
  if (untouched.store !== undefined) expect(await keysOf(untouched.store)).toEqual(keys)
  return error
}

async function keysOf(store: ObjectStore): Promise<string[]> {
  return (await Array.fromAsync(store.list(''))).map(({ key }) => key)
}

async function bytesOf(source: AsyncIterable<Uint8Array>): Promise<Buffer> {
  return Buffer.concat(await Array.fromAsync(source))
}

function makeTree(): string {
  const directory = join(temporaryDirectory(), 'work')
  mkdirSync(directory)
  writeFiles(directory, { 'a.txt': 'one\n', 'deep/b.bin': Buffer.alloc(1000, 3), '.hidden/c': 'x' })
  return directory
}

describe('ids, keys and paths', () => {
  it.each(['', '.', '..', 'a/b', '../x', '-x', 'a b', 'é', 'x'.repeat(129), 'a\0'])(
    'refuses the id %j',
    async (id) => {
      await expectRefusal(() => new Workspace({ id, path: '/tmp/x' }), 'INVALID_INPUT')
      await expectRefusal(() => createBundleStore(memoryStore()).exists(id), 'INVALID_INPUT')
    },
  )

  it.each(['', '/a', 'a/', 'a//b', '..', 'a/../b', 'a\\b', 'a\nb', 'x'.repeat(901)])(
    'refuses the key %j',
    async (key) => {
      const store = memoryStore()
      await expectRefusal(() => store.put(key, Buffer.from('x')), 'INVALID_INPUT', { store })
    },
  )

  it('refuses a missing directory, a file, and an empty path', async () => {
    const directory = makeTree()
    const file = join(directory, 'a.txt')
    const missing = join(directory, 'missing')
    const store = memoryStore()
    const workspaceAt = (path: string) =>
      new Workspace({ id: 'w', path, store, stateDir: temporaryDirectory() })
    for (const act of [
      (path: string) => workspaceAt(path).snapshot(),
      (path: string) => workspaceAt(path).save('x'),
      (path: string) => executeRun(workspaceAt(path), () => 1),
      (path: string) => bytesOf(createBundle(path)),
    ]) {
      await expectRefusal(() => act(missing), 'NOT_FOUND', { directory, store })
      await expectRefusal(() => act(file), 'INVALID_INPUT', { directory, store })
    }
    await expectRefusal(() => workspaceAt(''), 'INVALID_INPUT')
    await workspaceAt(directory).save('x')
    await expectRefusal(() => workspaceAt(file).load(), 'INVALID_INPUT', { directory, store })
  })

  it('says which store URLs exist when one is not known, and never repeats a secret', async () => {
    await expectRefusal(() => openStore('gopher://x'), 'INVALID_INPUT')
    await expectRefusal(() => openStore('not a url'), 'INVALID_INPUT')
    const error = await expectRefusal(() => openStore('s3://key:sup3rsecret@bucket'), 'INVALID_INPUT')
    expect(JSON.stringify(error) + error.message).not.toContain('sup3rsecret')
  })

  it('refuses to load, save or fork without a store, and to fork what was never saved', async () => {
    const directory = makeTree()
    const bare = new Workspace({ id: 'w', path: directory })
    await expectRefusal(() => bare.load(), 'INVALID_INPUT', { directory })
    await expectRefusal(() => bare.save('x'), 'INVALID_INPUT', { directory })
    const store = memoryStore()
    const unsaved = new Workspace({ id: 'w', path: directory, store })
    await expectRefusal(() => unsaved.fork('other'), 'NOT_FOUND', { directory, store })
    expect(await unsaved.load()).toBeNull()
  })

  it('refuses a version that is named and does not exist, and starts no agent on the directory', async () => {
    const directory = makeTree()
    const store = memoryStore()
    const workspace = new Workspace({ id: 'w', path: directory, store })
    await workspace.save('first')
    await expectRefusal(() => workspace.load({ version: 9 }), 'NOT_FOUND', { directory, store })
    let hasRun = false
    const agent = () => void (hasRun = true)
    await expectRefusal(() => executeRun(workspace, agent, { load: { version: 9 } }), 'NOT_FOUND', {
      directory,
    })
    expect(hasRun).toBe(false)
  })

  it('refuses options that do not exist, and says which do', async () => {
    const directory = makeTree()
    let hasRun = false
    const misspelt = { rollbackOnFail: true }
    const refused = await expectRefusal(
      () => executeRun(directory, () => void (hasRun = true), misspelt as object),
      'INVALID_INPUT',
      { directory },
    )
    expect(hasRun).toBe(false)
    expect(refused.message).toContain('"rollbackOnFail"')
    expect(refused.message).toContain('rollbackOnFailure')
    const options = { id: 'w', path: directory, stateDirectory: '/nowhere' }
    const error = await expectRefusal(() => new Workspace(options), 'INVALID_INPUT')
    expect(error.message).toContain('stateDir')
  })
})

describe('places that a save or load must not take', () => {
  it('are those that hold their own store or lie in it, also through links and before the store is there', async () => {
    const base = temporaryDirectory()
    const directory = join(base, 'work')
    mkdirSync(directory)
    writeFiles(directory, { 'a.txt': 'x' })
    symlinkSync(directory, join(base, 'link'))
    const filled = localStore({ root: join(directory, 'filled') })
    await createBundleStore(filled).save('w', makeTree(), { message: 'elsewhere' })
    for (const store of [
      filled,
      localStore({ root: join(directory, 'not', 'yet') }),
      localStore({ root: join(base, 'link', 'store') }),
      localStore({ root: base, create: false }),
    ]) {
      const bundles = createBundleStore(store)
      const workspace = new Workspace({ id: 'w', path: directory, store, stateDir: temporaryDirectory() })
      for (const call of [
        () => workspace.save('x'),
        () => workspace.load(),
        () => bundles.save('w', directory, { message: 'x' }),
        () => bundles.load('w', join(base, 'link')),
      ])
        await expectRefusal(call, 'INVALID_INPUT', { directory })
    }
    await expectRefusal(() => createBundleStore(filled).load('w', join(directory, 'filled', 'new')), 'INVALID_INPUT', { directory }) // prettier-ignore
  })

  it('are the home directory and what is above it', async () => {
    const base = temporaryDirectory()
    const home = join(base, 'users', 'me')
    mkdirSync(home, { recursive: true })
    writeFiles(home, { 'photo.jpg': 'irreplaceable' })
    symlinkSync(home, join(base, 'link'))
    const tree = makeTree()
    const root = join(base, 'store')
    await createBundleStore(localStore({ root })).save('w', tree, { message: 'x' })
    const before = describeTree(base, { skip: [] })
    for (const path of [home, join(base, 'link'), join(base, 'users')]) {
      for (const call of [
        `await new Workspace({ id: 'w', path: '${path}', store: localStore({ root: '${root}' }), stateDir: '/tmp/none' }).load()`,
        `await extractBundle(createBundle('${tree}'), '${path}')`,
      ]) {
        const output = await runElsewhere(call, { HOME: home })
        expect(output, call).toMatchObject({ code: 'INVALID_INPUT' })
        expect(describeTree(base, { skip: [] })).toEqual(before)
      }
    }
    const below = join(home, 'projects', 'one')
    const output = await runElsewhere(
      `await new Workspace({ id: 'w', path: '${below}', store: localStore({ root: '${root}' }), stateDir: '${base}/state' }).load()`,
      { HOME: home },
    )
    expect(output).toBeNull()
    expect(describeTree(below)).toEqual(describeTree(tree))
  })
})

describe('a misspelt option', () => {
  const make = (store: ObjectStore, path: string) => ({
    bundles: createBundleStore(store),
    workspace: new Workspace({ id: 'w', path, store, stateDir: temporaryDirectory() }),
    artifacts: createArtifactStore(store),
    store,
    path,
  })
  /** Each call with options that mean something else when the misspelt one is passed over. */
  const calls: Record<string, (on: ReturnType<typeof make>, options: never) => unknown> = {
    'save {"tag":["keep"]}': ({ workspace }, options) => workspace.save('x', options),
    'load {"vers":1}': ({ workspace }, options) => workspace.load(options),
    'load {"limits":{"maxBytes":1}}': ({ workspace }, options) => workspace.load(options),
    'fork {"dir":"/tmp/x"}': ({ workspace }, options) => workspace.fork('y', options),
    'verify {"repairs":{}}': ({ workspace }, options) => workspace.verify(options),
    'verify {"repair":{"dryrun":true}}': ({ workspace }, options) => workspace.verify(options),
    'readFile {"ver":1}': ({ workspace }, options) => workspace.readFile('a.txt', options),
    'prune {"keepLst":9,"maxAgeMs":1}': ({ workspace }, options) => workspace.prune(options),
    'prune options {"dryrun":true}': ({ workspace }, options) => workspace.prune({ keepLast: 1 }, options),
    'snapshot {"strategi":"hash"}': ({ workspace }, options) => workspace.snapshot(options),
    'snapshot {"ignore":{"path":["x"]}}': ({ workspace }, options) => workspace.snapshot(options),
    'collect {"dryrun":true}': ({ workspace }, options) => workspace.collect(options),
    'history {"limit":1}': ({ workspace }, options) => Array.fromAsync(workspace.history(options)),
    'workspace {"limits":{"maxBytes":1}}': ({ path }, options) => new Workspace({ id: 'w', path, ...(options as object) }), // prettier-ignore
    'run {"save":{"mesage":"x"}}': ({ workspace }, options) => executeRun(workspace, () => 1, options),
    'run {"save":{}}': ({ workspace }, options) => executeRun(workspace, () => 1, options),
    'run {"load":{"vers":1}}': ({ workspace }, options) => executeRun(workspace, () => 1, options),
    'createBundleStore {"encrypt":{"passphrase":"x"}}': ({ store }, options) =>
      createBundleStore(store, options),
    'upload {"message ":"x"}': ({ bundles, path }, options) =>
      bundles.upload('u', createBundle(path), options),
    'download {"fmt":"tar.gz"}': ({ bundles }, options) => bundles.download('w', options),
    'list {"pre":"w"}': ({ bundles }, options) => Array.fromAsync(bundles.list(options)),
    'delete {"dryRun":true}': ({ bundles }, options) => bundles.delete('w', options),
    'createBundle {"excludes":["x"]}': ({ path }, options) => createBundle(path, options),
    'extractBundle {"mod":"merge"}': ({ path }, options) => extractBundle(createBundle(path), path, options),
    'checkBundle {"limits":{"maxRation":1}}': ({ path }, options) => checkBundle(createBundle(path), options),
    'put {"ifAbsnt":true}': ({ store }, options) => store.put('key', Buffer.from('x'), options),
    'createArtifactStore {"prefx":"a"}': ({ store }, options) => createArtifactStore(store, options),
    'reliableStore {"retries":{}}': ({ store }, options) => reliableStore(store, options),
    'withRetry {"attempt":1}': ({ store }, options) => withRetry(store, options),
    'withTimeout {"timeoutMs":1}': ({ store }, options) => withTimeout(store, options),
    'openStore {"loader":1}': (_, options) => openStore('memory:', options),
    'backupSession {"mesage":"x"}': ({ workspace }, options) => backupSession(workspace, options),
    'restoreSession {"life":false}': ({ workspace }, options) => restoreSession({ workspace, ...(options as object) }), // prettier-ignore
    'localStore {"root":"/tmp/x","durable":false}': (_, options) => localStore(options),
  }

  it.each(Object.keys(calls))('is refused, and nothing is done: %s', async (name) => {
    const directory = makeTree()
    const on = make(memoryStore(), directory)
    await on.workspace.save('one')
    writeFiles(directory, { 'a.txt': 'two\n' })
    await on.workspace.save('two')
    const options = JSON.parse(name.slice(name.indexOf('{'))) as never
    const error = await expectRefusal(() => calls[name]?.(on, options), 'INVALID_INPUT', {
      directory,
      store: on.store,
    })
    expect(error.message).toMatch(name === 'run {"save":{}}' ? /a message/ : /has no option "|It has: /)
  })

  it('is refused also where the message of a save is forgotten', async () => {
    const directory = makeTree()
    const { workspace, bundles, store } = make(memoryStore(), directory)
    await expectRefusal(() => workspace.save(undefined as never), 'INVALID_INPUT', { directory, store })
    await expectRefusal(() => bundles.save('w', directory, {} as never), 'INVALID_INPUT', { directory })
    await expectRefusal(() => createBundleStore('memory:' as never), 'INVALID_INPUT')
  })
})

describe('archives', () => {
  const cases: [string, ErrorCode, (archive: Buffer) => Buffer][] = [
    ['nothing at all', 'INVALID_INPUT', () => Buffer.alloc(0)],
    ['a text', 'INVALID_INPUT', () => Buffer.from('this is no archive at all')],
    ['a tar that is not compressed', 'INVALID_INPUT', (archive) => gunzipSync(archive)],
    ['a truncated archive', 'CORRUPT', (archive) => archive.subarray(0, archive.length - 20)],
    ['an archive with a flipped bit', 'CORRUPT', (archive) => flipMiddle(archive)],
    [
      'an archive with bytes after its end',
      'CORRUPT',
      (archive) => Buffer.concat([archive, Buffer.from('more')]),
    ],
  ]

  it.each(cases)('refuses %s', async (_, code, damage) => {
    const archive = damage(await bytesOf(createBundle(makeTree(), { format: 'tar.gz' })))
    const directory = makeTree()
    await expectRefusal(() => extractBundle(archive, directory), code, { directory })
    expect(readdirSync(join(directory, '..'))).toEqual(['work'])
    const store = memoryStore()
    await expectRefusal(() => createBundleStore(store).upload('w', archive), code)
    expect(await createBundleStore(store).exists('w')).toBe(false)
  })

  it('refuses an archive over the limits', async () => {
    const archive = await bytesOf(createBundle(makeTree()))
    const directory = makeTree()
    for (const limits of [
      { maxEntries: 2 },
      { maxContentBytes: 10 },
      { maxFileBytes: 10 },
      { maxArchiveBytes: 10 },
      { maxDepth: 0 },
    ]) {
      await expectRefusal(() => extractBundle(archive, directory, { limits }), 'QUOTA_EXCEEDED', {
        directory,
      })
    }
  })

  function flipMiddle(archive: Buffer): Buffer {
    const copy = Buffer.from(archive)
    const middle = copy.length >> 1
    copy[middle] = (copy[middle] ?? 0) ^ 0x10
    return copy
  }
})

describe('repositories', () => {
  it('refuses a bare and a broken repository', async () => {
    const bare = join(temporaryDirectory(), 'bare.git')
    git('/', 'init', '--quiet', '--bare', bare)
    await expectRefusal(() => executeRun(bare, () => 1, { strategy: 'git' }), 'INVALID_INPUT', {
      directory: bare,
    })
    const broken = createRepository(join(temporaryDirectory(), 'broken'), { 'a.txt': 'x' })
    writeFileSync(join(broken, '.git', 'HEAD'), 'nonsense')
    await expectRefusal(() => executeRun(broken, () => 1), 'CORRUPT', { directory: broken })
  })

  it('says what to install when git is missing or too old', async () => {
    const repository = createRepository(join(temporaryDirectory(), 'repository'), { 'a.txt': 'x' })
    const empty = temporaryDirectory()
    const old = temporaryDirectory()
    writeFileSync(join(old, 'git'), '#!/bin/sh\necho git version 2.20.1\n')
    chmodSync(join(old, 'git'), 0o755)
    for (const path of [empty, old]) {
      const output = await runElsewhere(`await executeRun(${JSON.stringify(repository)}, () => 1)`, {
        PATH: path,
        HOME: temporaryDirectory(),
      })
      expect(output).toMatchObject({
        code: 'UNSUPPORTED',
        message: expect.stringMatching(/git 2\.\d+ or newer/) as string,
      })
    }
  })
})

describe('permissions, space and cancellation', () => {
  it('says ACCESS_DENIED where it may not write, and leaves everything as it was', async () => {
    const base = temporaryDirectory()
    const directory = join(base, 'work')
    mkdirSync(directory)
    writeFiles(directory, { 'a.txt': 'x' })
    for (const path of [base, directory]) chmodSync(path, 0o555)
    onTestFinished(() => chmodSync(base, 0o755))
    for (const call of [
      `await executeRun(new Workspace({ id: 'w', path: '${directory}', stateDir: '${base}/state' }), () => 1)`,
      `await new Workspace({ id: 'w', path: '${directory}', store: localStore({ root: '${base}/store' }) }).save('x')`,
      `await extractBundle(createBundle('${directory}'), '${base}/extracted')`,
    ]) {
      const before = describeTree(base, { skip: [] })
      const output = await runElsewhere(call, { HOME: '/nonexistent' }, true)
      expect(output, call).toMatchObject({ code: 'ACCESS_DENIED' })
      expect(describeTree(base, { skip: [] })).toEqual(before)
    }
  })

  it('says QUOTA_EXCEEDED, and where, when the disk of the store, of the state or of the target is full', async () => {
    const base = temporaryDirectory()
    const directory = join(base, 'work')
    mkdirSync(directory)
    writeFiles(directory, { 'big.bin': randomBytes(6 << 20), 'small.txt': 'x' })
    const disk = mountSmallDisk(join(base, 'disk'), 3)

    const store = localStore({ root: join(disk, 'store') })
    const workspace = new Workspace({ id: 'w', path: directory, store, stateDir: join(base, 'state') })
    const full = await expectRefusal(() => workspace.save('x'), 'QUOTA_EXCEEDED', { directory })
    expect(full.message).toContain(join(disk, 'store'))
    expect(await createBundleStore(store).exists('w')).toBe(false)

    createRepository(directory, { 'staged.txt': 'y' })
    const crowded = new Workspace({ id: 'w', path: directory, stateDir: join(disk, 'state') })
    writeFiles(directory, { 'bigger.bin': randomBytes(6 << 20) })
    for (const strategy of ['git', 'bundle'] as const) {
      const run = () => executeRun(crowded, () => 1, { strategy })
      const { message } = await expectRefusal(run, 'QUOTA_EXCEEDED', { directory })
      expect(message).toContain(join(disk, 'state'))
    }

    const target = join(disk, 'target')
    mkdirSync(target)
    writeFiles(target, { 'old.txt': 'old' })
    await expectRefusal(() => extractBundle(createBundle(directory), target), 'QUOTA_EXCEEDED', {
      directory: target,
    })

    // Not even a lock has room now.
    expect(() => writeFiles(disk, { 'rest.bin': Buffer.alloc(4 << 20) })).toThrow('ENOSPC')
    for (const strategy of ['git', 'bundle', 'hash'] as const) {
      await expectRefusal(() => crowded.snapshot({ strategy }), 'QUOTA_EXCEEDED', { directory })
      await expectRefusal(() => executeRun(crowded, () => 1, { strategy }), 'QUOTA_EXCEEDED', { directory })
    }
  })

  it('rejects with the reason of the signal in the middle of a save, a load, a capture and an extraction', async () => {
    const directory = makeTree()
    for (let index = 0; index < 200; index += 1)
      writeFiles(directory, { [`many/${index}`]: randomBytes(2000) })
    const reason = new Error('enough')
    const store = memoryStore()
    const workspace = new Workspace({ id: 'w', path: directory, store, stateDir: temporaryDirectory() })

    const saving = new AbortController()
    const abortingStore: ObjectStore = {
      ...store,
      put: (key, body, options) => {
        saving.abort(reason)
        return store.put(key, body, options)
      },
    }
    const doomed = new Workspace({
      id: 'w',
      path: directory,
      store: abortingStore,
      stateDir: temporaryDirectory(),
    })
    await expect(doomed.save('x', { signal: saving.signal })).rejects.toBe(reason)
    expect(await createBundleStore(store).exists('w')).toBe(false)

    await workspace.save('x')
    const target = makeTree()
    const before = describeTree(target)
    const loading = new AbortController()
    const other = new Workspace({ id: 'w', path: target, store, stateDir: temporaryDirectory() })
    await expect(
      other.load({ signal: loading.signal, onProgress: () => loading.abort(reason) }),
    ).rejects.toBe(reason)
    expect(describeTree(target)).toEqual(before)
    expect(readdirSync(join(target, '..'))).toEqual(['work'])

    await expect(workspace.snapshot({ signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
    const extracting = new AbortController()
    await expect(
      extractBundle(createBundle(directory), target, {
        signal: extracting.signal,
        onProgress: () => extracting.abort(reason),
      }),
    ).rejects.toBe(reason)
    expect(describeTree(target)).toEqual(before)
  })
})

describe('calls that the types forbid and a tired person makes', () => {
  const call = (name: string, ...values: unknown[]): unknown => {
    const functions: Record<string, (...values: never[]) => unknown> = {
      createArtifactStore,
      createBundle,
      executeRun,
      extractBundle,
      localStore,
      openStore,
    }
    return functions[name]?.(...(values as never[]))
  }

  it.each<[string, string, unknown[]]>([
    ['a run without an agent', 'executeRun', ['.']],
    ['a command in place of an agent', 'executeRun', ['.', 'npm test']],
    ['a run on nothing', 'executeRun', [undefined, () => 1]],
    ['options in place of a workspace', 'executeRun', [{ path: '.' }, () => 1]],
    ['a time with a unit', 'executeRun', ['.', () => 1, { timeoutMs: '5s' }]],
    ['a path in place of options', 'localStore', ['./store']],
    ['a store without options', 'localStore', []],
    ['a bundle of nothing', 'createBundle', []],
    ['an unknown format', 'createBundle', ['.', { format: 'zip' }]],
    ['a file name in place of bytes', 'extractBundle', ['repo.tar.gz', './copy']],
    ['no directory to extract into', 'extractBundle', [new Uint8Array(3)]],
    ['an artifact store without a store', 'createArtifactStore', []],
    ['no URL', 'openStore', []],
    ['a path in place of a URL', 'openStore', ['/var/lib/ws']],
  ])('refuses %s', async (_, name, values) => {
    await expectRefusal(() => call(name, ...values), 'INVALID_INPUT')
  })

  it('refuses a workspace without options, without an id, and with a URL for a store', async () => {
    const make = (options: unknown) => new Workspace(options as never)
    await expectRefusal(() => make(undefined), 'INVALID_INPUT')
    await expectRefusal(() => make({ path: '.' }), 'INVALID_INPUT')
    await expectRefusal(() => make({ id: 'w', path: '.', store: 'memory:' }), 'INVALID_INPUT')
  })

  it('refuses a snapshot after something that is none, and a label that is no text', async () => {
    const directory = makeTree()
    const workspace = new Workspace({ id: 'w', path: directory, stateDir: temporaryDirectory() })
    for (const options of [{ previous: {} }, { previous: 'ref' }, { label: 7 }])
      await expectRefusal(() => workspace.snapshot(options as never), 'INVALID_INPUT', { directory })
  })

  it('refuses a ref in place of a snapshot, and text in place of bytes', async () => {
    const directory = makeTree()
    const workspace = new Workspace({ id: 'w', path: directory, stateDir: temporaryDirectory() })
    await expectRefusal(() => workspace.rollback('abc' as never), 'INVALID_INPUT', { directory })
    await expectRefusal(() => workspace.diff('abc' as never), 'INVALID_INPUT', { directory })
    for (const store of [memoryStore(), localStore({ root: temporaryDirectory() })]) {
      await expectRefusal(() => store.put('key', 'text' as never), 'INVALID_INPUT', { store })
    }
  })
})

it('gives every error through JSON with its code', async () => {
  const error = await expectRefusal(() => executeRun('/nonexistent/directory', () => 1), 'NOT_FOUND')
  expect(JSON.parse(JSON.stringify(error))).toMatchObject({ code: 'NOT_FOUND', message: error.message })
})

/** Runs a call in a process of its own, with its own environment and perhaps another user; gives the error as JSON. */
async function runElsewhere(
  call: string,
  environment: Record<string, string>,
  isPlain = false,
): Promise<unknown> {
  const script = `
    const { createBundle, executeRun, extractBundle, Workspace } = await import(${JSON.stringify(new URL('../../src/index.ts', import.meta.url).href)})
    const { localStore } = await import(${JSON.stringify(import.meta.resolve('@ws/store-local'))})
    try { ${call}; process.stdout.write('null') } catch (error) { process.stdout.write(JSON.stringify(error)) }
  `
  const node = ['--conditions=@ws/source', '--input-type=module-typescript', '-e', script]
  const { command, parameters, user } = isPlain
    ? asPlainUser(process.execPath, node)
    : { command: process.execPath, parameters: node, user: {} }
  const { stdout } = await run(command, parameters, {
    cwd: '/',
    env: { PATH: process.env['PATH'] ?? '', ...environment },
    ...user,
  })
  return JSON.parse(stdout) as unknown
}
