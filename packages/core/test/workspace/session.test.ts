import { mkdirSync, readFileSync, renameSync, rmSync, existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { beforeEach, describe, expect, it } from 'vitest'
import {
  backupSession,
  createBundleStore,
  restoreSession,
  Workspace,
  WorkspaceError,
  type ObjectStore,
} from '../../src/index.ts'
import { bindStore } from '../../src/store/bind-store.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

let base = ''
let path = ''
let store: ObjectStore
let local: ObjectStore
let workspace: Workspace

beforeEach(() => {
  base = temporaryDirectory()
  path = join(base, 'work')
  store = memoryStore()
  local = memoryStore()
  workspace = on('machine', store)
})

/** The workspace as another machine, or another store, has it. */
function on(machine: string, its: ObjectStore): Workspace {
  return new Workspace({ id: 'w', path, store: its, stateDir: join(base, machine) })
}

const content = (): string => readFileSync(join(path, 'notes'), 'utf8')
const loseDirectory = (): void => rmSync(path, { recursive: true })

async function work(text: string, options: Parameters<typeof backupSession>[1] = { local }) {
  mkdirSync(path, { recursive: true })
  writeFiles(path, { notes: text })
  return backupSession(workspace, options)
}

const down: ObjectStore = {
  ...memoryStore(),
  get: () => Promise.reject(new WorkspaceError('UNAVAILABLE', 'the store is down')),
  list: () => {
    throw new WorkspaceError('UNAVAILABLE', 'the store is down')
  },
}

/** The note of the session, as it was when the version of a backup was there and its process was killed. */
async function killedAfterCommit(backup: () => Promise<unknown>): Promise<void> {
  const [state = ''] = readdirSync(join(base, 'machine'))
  const note = join(base, 'machine', state, 'session.json')
  let atCommit = ''
  const put = store.put.bind(store)
  store.put = async (key, ...rest) => {
    const info = await put(key, ...rest)
    if (key.includes('/versions/')) atCommit = readFileSync(note, 'utf8')
    return info
  }
  await backup()
  store.put = put
  writeFileSync(note, atCommit)
}

describe('a backup that was killed between its version and the note of it', () => {
  it('does not count as that of somebody else', async () => {
    await work('1')
    await killedAfterCommit(() => work('2'))
    expect((await work('3')).version).toMatchObject({ version: 3, parent: 2 })
    expect((await work('4')).version).toMatchObject({ version: 4, parent: 3 })
  })

  it('does not do so either after a backup that failed', async () => {
    await work('1')
    await killedAfterCommit(() => work('2'))
    const put = store.put.bind(store)
    store.put = () => Promise.reject(new WorkspaceError('ACCESS_DENIED', 'read-only'))
    await expect(work('3')).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
    store.put = put
    expect((await work('4')).version).toMatchObject({ version: 3, parent: 2 })
  })

  it('keeps nobody from being told that somebody else has saved since', async () => {
    await work('1')
    await killedAfterCommit(() => work('2'))
    await workspace.save('by somebody else')
    await expect(work('3')).rejects.toMatchObject({ code: 'CONFLICT' })
  })
})

describe('a session', () => {
  it('that was never saved begins with an empty directory, and is live from its first file on', async () => {
    expect(await restoreSession({ workspace, local })).toMatchObject({ source: 'fresh', version: null })
    expect(readdirSync(path)).toEqual([])
    writeFiles(path, { notes: 'begun' })
    expect(await restoreSession({ workspace, local })).toMatchObject({ source: 'live', version: null })
    expect(content()).toBe('begun')
  })

  it('comes from the directory, then from the local copy, then from the store', async () => {
    await work('one')
    writeFiles(path, { notes: 'one, and unsaved' })
    expect(await restoreSession({ workspace, local })).toMatchObject({ source: 'live', version: 1 })
    expect(content()).toBe('one, and unsaved')
    loseDirectory()
    expect(await restoreSession({ workspace, local })).toMatchObject({ source: 'local', version: 1 })
    expect(content()).toBe('one')
    loseDirectory()
    expect(await restoreSession({ workspace, local: memoryStore() })).toMatchObject({
      source: 'store',
      version: 1,
    })
    expect(content()).toBe('one')
    expect(await restoreSession({ workspace, live: false, local })).toMatchObject({ source: 'local' })
  })

  it('never comes from a local copy that is older than the newest stored version', async () => {
    await work('one')
    await work('two', {})
    loseDirectory()
    expect(await restoreSession({ workspace, local })).toMatchObject({ source: 'store', version: 2 })
    expect(content()).toBe('two')
  })

  it('never comes from a local copy of another history with the same numbers', async () => {
    await work('of a store that was lost')
    loseDirectory()
    workspace = on('machine', (store = memoryStore()))
    await work('one', {})
    loseDirectory()
    expect(await restoreSession({ workspace, local })).toMatchObject({ source: 'store', version: 1 })
    expect(content()).toBe('one')
  })

  it('does not begin anew because the store is down, nor with a copy that may be old, unless it is allowed', async () => {
    await work('one')
    loseDirectory()
    const offline = on('machine', down)
    await expect(restoreSession({ workspace: offline, local })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    await expect(restoreSession({ workspace: offline, allowStale: true })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(existsSync(path)).toBe(false)
    expect(await restoreSession({ workspace: offline, local, allowStale: true })).toMatchObject({
      source: 'local',
      version: 1,
      isStale: true,
    })
    expect(content()).toBe('one')
  })

  it('comes from the store when the local copy is damaged or cannot be read, and says why', async () => {
    await work('one')
    loseDirectory()
    for await (const { key } of local.list('packs/')) await local.put(key, new Uint8Array(9))
    const restored = await restoreSession({ workspace, local })
    expect(restored).toMatchObject({ source: 'store', version: 1 })
    expect(restored.localProblem).toContain('damaged')
    loseDirectory()
    expect(await restoreSession({ workspace, local: down })).toMatchObject({ source: 'store' })
  })

  it('is not taken for what somebody else has put into the directory', async () => {
    await work('one')
    renameSync(path, join(base, 'moved'))
    mkdirSync(path)
    writeFiles(path, { 'of/somebody': 'else' })
    await expect(restoreSession({ workspace, local })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(readdirSync(path)).toEqual(['of'])
    expect(await restoreSession({ workspace, local, live: false })).toMatchObject({ source: 'local' })
    expect(readdirSync(path)).toEqual(['notes'])
  })

  it('that is to be replaced stays live when that fails', async () => {
    await work('one')
    writeFiles(path, { notes: 'unsaved' })
    for await (const { key } of store.list('packs/')) await store.put(key, new Uint8Array(9))
    await expect(restoreSession({ workspace, live: false })).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(await restoreSession({ workspace })).toMatchObject({ source: 'live', version: 1 })
    expect(content()).toBe('unsaved')
  })

  it('of another workspace in the same directory is not live', async () => {
    await work('one')
    const other = new Workspace({ id: 'other', path, store, stateDir: join(base, 'machine') })
    await expect(restoreSession({ workspace: other })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(content()).toBe('one')
  })

  it('is not taken for what somebody else has put into the directory after it could not replace that', async () => {
    await work('one')
    loseDirectory()
    writeFiles(path, { notes: 'of somebody else' })
    const broken = on('machine', {
      ...store,
      get: (key, options) =>
        key.includes('packs/')
          ? Promise.reject(new WorkspaceError('UNAVAILABLE', 'gone for a moment'))
          : store.get(key, options),
    })
    await expect(restoreSession({ workspace: broken, live: false })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    await expect(restoreSession({ workspace })).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(content()).toBe('of somebody else')
  })

  it('whose restore failed midway is restored by the next one', async () => {
    await work('one', {})
    loseDirectory()
    let isFirst = true
    const flaky: ObjectStore = {
      ...store,
      get: (key, options) => {
        if (!key.includes('packs/') || !isFirst) return store.get(key, options)
        isFirst = false
        return Promise.reject(new WorkspaceError('UNAVAILABLE', 'gone for a moment'))
      },
    }
    await expect(restoreSession({ workspace: on('machine', flaky) })).rejects.toMatchObject({
      code: 'UNAVAILABLE',
    })
    expect(await restoreSession({ workspace })).toMatchObject({ source: 'store', version: 1 })
    expect(content()).toBe('one')
  })
})

describe('a backup', () => {
  it('says CONFLICT when somebody else has saved since the session was restored, and stores nothing', async () => {
    await work('one')
    await createBundleStore(store).save('w', path, { message: 'of somebody else' })
    await expect(work('mine')).rejects.toMatchObject({ code: 'CONFLICT', details: { winner: 2 } })
    expect((await work('mine', { onConflict: 'rebase' })).version).toMatchObject({ version: 3, parent: 2 })
    loseDirectory()
    await restoreSession({ workspace })
    expect(content()).toBe('mine')
    expect((await work('more')).version).toMatchObject({ version: 4, parent: 3 })
  })

  it('gets no local copy in the store itself, also by another object that stands for it, and is told so', async () => {
    const versions: number[] = []
    for (const [text, onConflict] of [['one', 'fail'], ['two', 'fail'], ['three', 'rebase']] as const) {
      const backup = await work(text, { local: bindStore(store), onConflict })
      expect(backup.localProblem).toMatch(/local .* is the store of the workspace, .* Give local a store of its own/)
      versions.push(backup.version.version)
    }
    expect(versions).toEqual([1, 2, 3])
    expect(await Array.fromAsync(workspace.history())).toHaveLength(3)
    loseDirectory()
    expect(await restoreSession({ workspace, local: bindStore(store) })).toMatchObject({ source: 'store', version: 3 })
    expect(content()).toBe('three')
  }) // prettier-ignore

  it('is one also when the local copy fails, and says so', async () => {
    const backup = await work('one', { local: down })
    expect(backup.version.version).toBe(1)
    expect(backup.localProblem).toContain('down')
    loseDirectory()
    expect(await restoreSession({ workspace })).toMatchObject({ source: 'store', version: 1 })
  })
})
