import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { text } from 'node:stream/consumers'
import { memoryStore } from '@ws/store-memory'
import { beforeEach, describe, expect, it } from 'vitest'
import { createBundleStore, Workspace, type ObjectStore } from '../../src/index.ts'
import { makeMessyTree } from '../bundle/messy-tree.ts'
import { listTree } from '../bundle/tree-listing.ts'
import { mountSmallDisk } from '../support/small-disk.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

let path = ''
let store: ObjectStore
let workspace: Workspace

beforeEach(async () => {
  const base = temporaryDirectory()
  path = join(base, 'work')
  store = memoryStore()
  workspace = new Workspace({ id: 'w', path, store, stateDir: join(base, 'state') })
  mkdirSync(path)
  writeFiles(path, { kept: 'the same', changed: 'one', 'sub/removed': 'gone soon' })
  await workspace.save('first')
  rmSync(join(path, 'sub'), { recursive: true })
  writeFiles(path, { changed: 'two', added: 'new' })
  await workspace.save('second')
})

const versionsOf = async (of: Workspace): Promise<number[]> =>
  (await Array.fromAsync(of.history())).map(({ version }) => version)

describe('a workspace with two versions', () => {
  it('reads one file of either, a part of it, and null for what is not there', async () => {
    const read = async (...given: Parameters<Workspace['readFile']>) => {
      const file = await workspace.readFile(...given)
      return file === null ? null : text(file.body)
    }
    expect(await read('changed')).toBe('two')
    expect(await read('changed', { version: 1 })).toBe('one')
    expect(await read('kept', { range: { start: 4, end: 8 } })).toBe('same')
    expect(await read('sub/removed')).toBeNull()
    expect(await read('sub/removed', { version: 1 })).toBe('gone soon')
    expect(await read('kept', { version: 3 })).toBeNull()
    await expect(read('sub', { version: 1 })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('reads a file of a time that no Date can have', async () => {
    const disk = mountSmallDisk(join(temporaryDirectory(), 'disk'), 4)
    writeFiles(disk, { far: 'away' })
    execFileSync('touch', ['-d', '@99999999999999', join(disk, 'far')])
    const far = new Workspace({ id: 'far', path: disk, store, stateDir: temporaryDirectory() })
    await far.save('one')
    const file = await far.readFile('far')
    expect(file?.info).toMatchObject({ size: 4, modifiedAt: '' })
    writeFiles(disk, { far: 'near' })
    await far.save('two')
    const changes = await Array.fromAsync(far.diffVersions(1, 2))
    expect(changes.find(({ path: changed }) => changed === 'far')?.before?.modifiedAt).toBe('')
  })

  it('has no fork in its own directory, which the fork would replace', async () => {
    const link = join(dirname(path), 'link')
    symlinkSync(path, link)
    const places = [`${path}/../work/`, link, dirname(path)]
    const forks = [
      () => workspace.fork('work'),
      ...places.map((to) => () => workspace.fork('other', { path: to })),
    ]
    for (const fork of forks)
      await expect(fork()).rejects.toMatchObject({ code: 'INVALID_INPUT', details: { option: 'path' } })
    expect(await createBundleStore(store).exists('work')).toBe(false)
  })

  it('lists what differs between them', async () => {
    const changes = await Array.fromAsync(workspace.diffVersions(1, 2))
    expect(changes.map((change) => `${change.status} ${change.path}`)).toEqual([
      'added added',
      'changed changed',
      'removed sub',
      'removed sub/removed',
    ])
    await expect(Array.fromAsync(workspace.diffVersions(1, 3))).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('verifies each of them, and names what is damaged', async () => {
    expect(await workspace.verify()).toMatchObject({ problems: [], files: 3 })
    expect(await workspace.verify({ version: 3 })).toBeNull()
    for await (const { key } of store.list('packs/')) await store.put(key, new Uint8Array(20))
    const { problems = [] } = (await workspace.verify({ version: 1 })) ?? {}
    expect(problems.length).toBeGreaterThan(0)
    for (const { object } of problems) expect(object).toMatch(/^packs\//)
  })

  it('measures and prunes its own versions only', async () => {
    const other = new Workspace({ id: 'other', path, store })
    await other.save('one')
    await other.save('two')
    const { ownBytes, sharedBytes, versions } = await workspace.usage()
    expect(ownBytes + sharedBytes).toBeGreaterThan(0)
    expect(versions).toHaveLength(2)
    const plan = await workspace.prune({ keepLast: 1 }, { dryRun: true })
    expect(plan.removed).toEqual([{ workspaceId: 'w', version: 1 }])
    expect(await versionsOf(workspace)).toEqual([2, 1])
    await workspace.prune({ keepLast: 1 })
    expect(await versionsOf(workspace)).toEqual([2])
    expect(await versionsOf(other)).toEqual([2, 1])
    expect((await workspace.usage()).versions).toHaveLength(1)
    expect(await new Workspace({ id: 'unsaved', path, store }).usage()).toMatchObject({ versions: [] })
  })
})

describe('a tag that is set while prune removes its version', () => {
  /** The store, with something done before a put to a key of that kind. */
  const before = (kind: string, act: () => Promise<unknown>): ObjectStore => {
    let isFirst = true
    return {
      ...store,
      async put(key, body, options) {
        if (key.includes(kind) && isFirst) {
          isFirst = false
          await act()
        }
        return store.put(key, body, options)
      },
    }
  }
  const tags = () => Array.fromAsync(store.list('workspaces/w/tags/'))

  it('comes too late when the version is gone by then: NOT_FOUND, and no tag is left', async () => {
    const late = before('/tags/', () => workspace.prune({ keepLast: 1 }))
    await expect(createBundleStore(late).tag('w', 1, 'late')).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(await tags()).toEqual([])
    expect(await versionsOf(workspace)).toEqual([2])
  })

  it('keeps it when prune has yet to remove it, though prune had not seen the tag', async () => {
    const racing = before('/versions/', () => createBundleStore(store).tag('w', 1, 'just-in-time'))
    const { removed } = await createBundleStore(racing).prune({ keepLast: 1 }, { exclusive: true })
    expect(removed).toEqual([])
    expect(await versionsOf(workspace)).toEqual([2, 1])
    expect(await tags()).toHaveLength(1)
    expect(await workspace.verify({ version: 1 })).toMatchObject({ problems: [] })
    await workspace.load({ version: 1 })
    expect(readFileSync(join(path, 'changed'), 'utf8')).toBe('one')
  })
})

it.each([
  ['tar.zst', '--zstd'],
  ['tar.gz', '--gzip'],
] as const)(
  'a download as %s is unpacked by GNU tar to the very tree that was saved',
  async (format, option) => {
    const base = temporaryDirectory()
    const source = join(base, 'source')
    const target = join(base, 'target')
    makeMessyTree(source)
    mkdirSync(target)
    const bundles = createBundleStore(store)
    await bundles.save('messy', source, { message: '' })
    const download = await bundles.download('messy', { format })
    if (download === null) throw new Error('there is no such version')
    writeFileSync(join(base, 'archive'), Buffer.concat(await Array.fromAsync(download)))
    execFileSync('tar', [option, '-xpf', join(base, 'archive'), '-C', target], { stdio: 'ignore' })
    const unpacked = listTree(target)
    const saved = listTree(source)
    expect(Object.keys(unpacked)).toEqual(Object.keys(saved))
    for (const [name, entry] of Object.entries(saved)) {
      const { mtimeUs, ...rest } = unpacked[name] ?? { mtimeUs: 0 }
      const { mtimeUs: wanted, ...fields } = entry
      expect(rest, name).toEqual(fields)
      expect(Math.abs(mtimeUs - wanted), name).toBeLessThanOrEqual(1)
    }
    const listed = execFileSync('tar', [option, '-tvf', join(base, 'archive')], {
      encoding: 'latin1',
      stdio: ['ignore', 'pipe', 'ignore'],
    })
    expect(listed.trim().split('\n')).toHaveLength(Object.keys(saved).length + 1)
  },
)

it('a download fetches what lies together by few requests', async () => {
  for (let index = 0; index < 300; index += 1)
    writeFiles(path, { [`d${index % 7}/f${index}`]: randomBytes(40_000) })
  await workspace.save('twelve megabytes')
  let reads = 0
  const counted: ObjectStore = {
    ...store,
    get(key, options) {
      if (key.startsWith('packs/')) reads += 1
      return store.get(key, options)
    },
  }
  const download = await createBundleStore(counted).download('w')
  let bytes = 0
  for await (const part of download ?? []) bytes += part.length
  expect(bytes).toBeGreaterThan(12_000_000)
  expect(reads).toBeLessThanOrEqual(10)
})
