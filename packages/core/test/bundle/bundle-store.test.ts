import { Buffer } from 'node:buffer'
import { createHash } from 'node:crypto'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { BundleStore, UploadProgress } from '../../src/bundle/bundle-store.ts'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { WorkspaceError } from '../../src/errors.ts'
import { bindStore } from '../../src/store/bind-store.ts'
import type { ObjectStore, PutOptions } from '../../src/store/object-store.ts'
import { file, tarGz, rawHeader } from './tar-blocks.ts'

let base = ''
let source = ''
let store: ObjectStore
let bundles: BundleStore

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-store-'))
  source = join(base, 'source')
  mkdirSync(source)
  writeFileSync(join(source, 'f'), 'one')
  store = memoryStore()
  bundles = createBundleStore(store, { clock: () => new Date(0) })
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

async function keys(): Promise<string[]> {
  const found: string[] = []
  for await (const { key } of store.list('')) found.push(key)
  return found
}

async function all<T>(iterable: AsyncIterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const each of iterable) found.push(each)
  return found
}

async function* nothing(): AsyncGenerator<Uint8Array> {
  yield Buffer.alloc(0)
}

/** The store with some of its methods replaced. */
const changed = (methods: Partial<ObjectStore>): ObjectStore => ({ ...bindStore(store), ...methods })
const isRecord = (key: string): boolean => key.startsWith('workspaces/')

describe('versions', () => {
  it('are saved, listed newest first and loaded by number', async () => {
    const first = await bundles.save('w', source, { message: 'first', author: 'me', metadata: { run: '1' } })
    writeFileSync(join(source, 'f'), 'two')
    await bundles.save('w', source, { message: 'second' })
    expect(first.version).toMatchObject({
      version: 1,
      parent: null,
      message: 'first',
      author: 'me',
      metadata: { run: '1' },
      createdAt: '1970-01-01T00:00:00.000Z',
    })
    expect((await all(bundles.history('w'))).map(({ version, parent }) => [version, parent])).toEqual([
      [2, 1],
      [1, null],
    ])
    const target = join(base, 'target')
    expect((await bundles.load('w', target))?.version.version).toBe(2)
    expect(readFileSync(join(target, 'f'), 'utf8')).toBe('two')
    expect((await bundles.load('w', target, { version: 1 }))?.version.message).toBe('first')
    expect(readFileSync(join(target, 'f'), 'utf8')).toBe('one')
  })

  it('are null or false where there are none', async () => {
    expect(await bundles.load('w', join(base, 'target'))).toBeNull()
    expect(await bundles.download('w')).toBeNull()
    expect(await bundles.exists('w')).toBe(false)
    await bundles.delete('w')
    await bundles.save('w', source, { message: '' })
    expect(await bundles.load('w', join(base, 'target'), { version: 2 })).toBeNull()
    expect(await bundles.exists('w')).toBe(true)
    expect(readdirSync(base)).toEqual(['source'])
  })

  it('of every workspace are listed by id in byte order', async () => {
    for (const id of ['a-b', 'a', 'a.b', 'B', 'ab']) await bundles.save(id, source, { message: id })
    expect((await all(bundles.list())).map((each) => each.workspaceId)).toEqual([
      'B',
      'a',
      'a-b',
      'a.b',
      'ab',
    ])
    expect((await all(bundles.list({ prefix: 'a-' }))).map((each) => each.latest.message)).toEqual(['a-b'])
  })

  it('go with their workspace, and deleting again is success', async () => {
    await bundles.save('w', source, { message: '' })
    await bundles.save('w', source, { message: '' })
    await bundles.save('w2', source, { message: '' })
    await bundles.delete('w')
    await bundles.delete('w')
    expect((await keys()).filter(isRecord)).toEqual([expect.stringContaining('workspaces/w2/')])
    await bundles.prune(null, { exclusive: true })
    expect((await keys()).filter((key) => key.startsWith('packs/'))).toHaveLength(1)
    await bundles.load('w2', join(base, 'target'))
  })

  it.each(['', '..', 'a/b', '.hidden', 'x'.repeat(129), 'a b', 'a\0'])(
    'refuse the id %j before anything is sent',
    async (id) => {
      const silent = createBundleStore(
        changed({
          get: () => Promise.reject(new Error('asked')),
          put: () => Promise.reject(new Error('asked')),
          delete: () => Promise.reject(new Error('asked')),
          list: () => {
            throw new Error('asked')
          },
        }),
      )
      const calls = [
        () => silent.save(id, source, { message: '' }),
        () => silent.load(id, source),
        () => silent.upload(id, tarGz()),
        () => silent.download(id),
        () => silent.exists(id),
        () => silent.delete(id),
        () => all(silent.history(id)),
      ]
      for (const call of calls) await expect(call()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    },
  )
})

describe('two writers', () => {
  it('from the same version: exactly one wins, the other learns of it and leaves nothing', async () => {
    await bundles.save('w', source, { message: 'first' })
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, index) =>
        bundles.save('w', source, { message: String(index), parent: 1 }),
      ),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
    for (const result of results) {
      if (result.status === 'rejected')
        expect(result.reason).toMatchObject({ code: 'CONFLICT', details: { winner: 2 } })
    }
    expect((await keys()).filter(isRecord)).toHaveLength(2)
    expect((await bundles.usage()).unreferencedBytes).toBe(0)
  })

  it('with an outdated parent, or none where there should be none: CONFLICT before anything is stored', async () => {
    await bundles.save('w', source, { message: 'first', parent: 0 })
    for (const parent of [0, 2]) {
      await expect(bundles.save('w', source, { message: '', parent })).rejects.toMatchObject({
        code: 'CONFLICT',
      })
    }
    expect(await keys()).toHaveLength(3)
  })

  it('on a store that only checks: the overwritten one is told', async () => {
    const weak = changed({
      capabilities: { ...store.capabilities, createIfAbsent: 'checked' },
      async put(key, body, options) {
        const info = await store.put(key, body, options)
        if (isRecord(key) && body instanceof Uint8Array && !key.includes('/claims/')) {
          const { checksum: _, ...record } = JSON.parse(Buffer.from(body).toString()) as Record<
            string,
            unknown
          >
          const other = { ...record, nonce: '0'.repeat(32) }
          const checksum = createHash('sha256').update(JSON.stringify(other)).digest('hex')
          await store.put(key, Buffer.from(JSON.stringify({ ...other, checksum })))
        }
        return info
      },
    })
    await expect(createBundleStore(weak).save('w', source, { message: '' })).rejects.toMatchObject({
      code: 'CONFLICT',
    })
  })

  it('on a store that cannot create if absent: UNSUPPORTED', async () => {
    const none = changed({ capabilities: { ...store.capabilities, createIfAbsent: false } })
    await expect(createBundleStore(none).save('w', source, { message: '' })).rejects.toMatchObject({
      code: 'UNSUPPORTED',
    })
    expect(await keys()).toEqual([])
  })
})

describe('a commit whose answer is lost', () => {
  const failing = (apply: boolean, times: number) => {
    let left = times
    return changed({
      async put(key, body, options?: PutOptions) {
        if (!isRecord(key) || left === 0) return store.put(key, body, options)
        left -= 1
        if (apply) await store.put(key, body, options)
        throw new WorkspaceError('TIMEOUT', 'no answer')
      },
    })
  }

  it('but was applied succeeds, once', async () => {
    const saved = await createBundleStore(failing(true, 1)).save('w', source, { message: '' })
    expect(saved.version.version).toBe(1)
    expect(await all(bundles.history('w'))).toHaveLength(1)
  })

  it('and was not applied is tried again', async () => {
    await createBundleStore(failing(false, 1)).save('w', source, { message: '' })
    expect(await all(bundles.history('w'))).toHaveLength(1)
  })

  it('and stays unknown says so, and keeps the packs that the record may need', async () => {
    await expect(
      createBundleStore(failing(false, 9)).save('w', source, { message: '' }),
    ).rejects.toMatchObject({
      code: 'TIMEOUT',
      details: { committed: 'unknown' },
    })
    expect(await keys()).toEqual(['format', expect.stringContaining('packs/')])
  })
})

describe('on a store that only checks, a record', () => {
  const checked = (methods: Partial<ObjectStore>): ObjectStore =>
    changed({ capabilities: { ...store.capabilities, createIfAbsent: 'checked' }, ...methods })
  const save = (to: ObjectStore, signal?: AbortSignal) =>
    createBundleStore(to).save('w', source, { message: '', signal })
  const isVersion = (key: string): boolean => key.includes('/versions/')
  const isPack = (key: string): boolean => key.startsWith('packs/')

  it('that cannot be read back keeps its packs, and says that it is not known', async () => {
    let isPut = false
    const silent = checked({
      async put(key, body, options) {
        isPut ||= isVersion(key)
        return store.put(key, body, options)
      },
      async get(key, options) {
        if (isPut && isVersion(key)) throw new WorkspaceError('UNAVAILABLE', 'down')
        return store.get(key, options)
      },
    })
    await expect(save(silent)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { committed: 'unknown' },
    })
    expect(await bundles.verify('w')).toMatchObject({ problems: [] })
  })

  it('that comes back damaged is taken away again, with its packs', async () => {
    const garbling = checked({
      async put(key, body, options) {
        if (!isVersion(key) || !(body instanceof Uint8Array)) return store.put(key, body, options)
        return store.put(
          key,
          body.map((byte, index) => (index === 9 ? byte ^ 1 : byte)),
          options,
        )
      },
    })
    await expect(save(garbling)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect((await keys()).filter((key) => isVersion(key) || isPack(key))).toEqual([])
  })

  it.each(['checked', 'atomic'] as const)(
    'that is put while the caller aborts keeps its packs (%s)',
    async (createIfAbsent) => {
      const controller = new AbortController()
      const reason = new Error('enough')
      const slow = checked({
        capabilities: { ...store.capabilities, createIfAbsent },
        async put(key, body, options) {
          const info = await store.put(key, body, { ...options, signal: undefined })
          if (!isVersion(key)) return info
          controller.abort(reason)
          options?.signal?.throwIfAborted()
          return info
        },
      })
      await save(slow, controller.signal).catch((error: unknown) => expect(error).toBe(reason))
      expect(await bundles.verify('w')).toMatchObject({ problems: [] })
    },
  )
})

describe('a failure', () => {
  it('or an abort while content is stored leaves nothing', async () => {
    const failure = new WorkspaceError('UNAVAILABLE', 'down')
    const broken = changed({
      async put(key, body) {
        if (key === 'format') return store.put(key, body)
        if (!(body instanceof Uint8Array))
          for await (const chunk of body) expect(chunk.length).toBeGreaterThan(0)
        throw failure
      },
    })
    await expect(createBundleStore(broken).save('w', source, { message: '' })).rejects.toBe(failure)
    const reason = new Error('enough')
    const controller = new AbortController()
    await expect(
      bundles.save('w', source, {
        message: '',
        signal: controller.signal,
        onProgress: () => controller.abort(reason),
      }),
    ).rejects.toBe(reason)
    expect(await keys()).toEqual(['format'])
  })

  it('of the store is never absence', async () => {
    const failure = new WorkspaceError('UNAVAILABLE', 'down')
    const down = createBundleStore(
      changed({
        get: () => Promise.reject(failure),
        list: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(failure) }) }),
      }),
    )
    await expect(down.exists('w')).rejects.toBe(failure)
    await expect(down.load('w', base)).rejects.toBe(failure)
    await expect(down.download('w')).rejects.toBe(failure)
  })
})

describe('what others do with the store', () => {
  it('is left alone: a prune deletes no object that is no pack by its name', async () => {
    await bundles.save('w', source, { message: '' })
    const others = ['packs/README.txt', 'packs/old/0123', 'condemned/note', 'repairs/x', 'mine']
    for (const key of others) await store.put(key, Buffer.from('not ours'))
    const { totalBytes, unreferencedBytes } = await bundles.usage()
    expect(unreferencedBytes).toBe(0)
    expect(totalBytes).toBe((await bundles.version('w'))?.storedBytes)
    await bundles.delete('w')
    const { deleted } = await bundles.prune(null, { exclusive: true })
    expect(deleted.packs).toBe(1)
    expect(await keys()).toEqual([...others, 'clock', 'format'].toSorted())
  })

  it.each([{}, { cacheDirectory: 'cache' }])(
    'may be to empty it: what is saved afterwards can be read by everybody (%j)',
    async ({ cacheDirectory: name }: { readonly cacheDirectory?: string }) => {
      const cache = name === undefined ? {} : { cacheDirectory: join(base, name) }
      await bundles.save('w', source, { message: 'before', ...cache })
      for (const key of await keys()) await store.delete(key)
      await bundles.save('w', source, { message: 'after', ...cache })
      const reader = createBundleStore(store)
      expect(await reader.verify('w')).toMatchObject({ problems: [], files: 1 })
      expect(await reader.version('w')).toMatchObject({ version: 1, message: 'after' })
    },
  )
})

describe('a store that was emptied and begun anew by somebody else', () => {
  const encryption = { passphrase: 'the same for both' }
  it.each([{}, { cacheDirectory: 'cache' }])(
    'is opened again by whoever has it open: nothing is sealed with keys that are gone (%j)',
    async ({ cacheDirectory: name }: { readonly cacheDirectory?: string }) => {
      const cache = name === undefined ? {} : { cacheDirectory: join(base, name) }
      const [saving, uploading, loading] = [1, 2, 3].map(() => createBundleStore(store, { encryption }))
      await saving?.save('w', source, { message: 'before', ...cache })
      await uploading?.exists('w')
      await loading?.exists('w')
      for (const key of await keys()) await store.delete(key)
      await createBundleStore(store, { encryption }).save('w', source, { message: 'anew' })

      await saving?.save('other', source, { message: 'after', ...cache })
      await saving?.save('w', source, { message: 'after', ...cache })
      await uploading?.upload('uploaded', createBundle(source))
      expect(await loading?.load('w', join(base, 'target'))).toMatchObject({ version: { version: 2 } })
      const reader = createBundleStore(store, { encryption })
      for (const id of ['w', 'other', 'uploaded'])
        expect(await reader.verify(id)).toMatchObject({ problems: [], files: 1 })
      expect((await reader.usage()).unreferencedBytes).toBe(0)
    },
  )

  it.each<[string, (bundles: BundleStore) => Promise<unknown>, unknown]>([
    ['list', (bundles) => Array.fromAsync(bundles.list()), [{ workspaceId: 'w', latest: { version: 1 } }]],
    ['history', (bundles) => Array.fromAsync(bundles.history('w')), [{ message: 'anew' }]],
    ['version', (bundles) => bundles.version('w'), { message: 'anew' }],
    ['exists', (bundles) => bundles.exists('w'), true],
    ['usage', (bundles) => bundles.usage(), { unreferencedBytes: 0 }],
    ['prune', (bundles) => bundles.prune({ keepLast: 1 }), { keptVersions: 1 }],
    ['delete', (bundles) => bundles.delete('w'), undefined],
  ])('is opened again by whoever only asks it (%s)', async (_, ask, answer) => {
    const open = createBundleStore(store, { encryption })
    await open.save('w', source, { message: 'before' })
    for (const key of await keys()) await store.delete(key)
    await createBundleStore(store, { encryption }).save('w', source, { message: 'anew' })
    expect({ found: await ask(open) }).toMatchObject({ found: answer })
  })

  it('is not written to by whoever has another key', async () => {
    const saving = createBundleStore(store, { encryption })
    await saving.save('w', source, { message: 'before' })
    for (const key of await keys()) await store.delete(key)
    await createBundleStore(store, { encryption: { passphrase: 'another' } }).save('w', source, {
      message: 'anew',
    })
    const before = await keys()
    for (const id of ['w', 'other'])
      await expect(saving.save(id, source, { message: 'after' })).rejects.toMatchObject({
        code: 'ACCESS_DENIED',
      })
    expect(await keys()).toEqual(before)
  })
})

describe('a store that has lost its marker', () => {
  it('is damaged, never taken for an empty one, and the message says what to put back', async () => {
    await bundles.save('w', source, { message: '' })
    await store.delete('format')
    const reader = createBundleStore(store)
    const lost = {
      code: 'CORRUPT',
      message: expect.stringContaining('format back'),
      details: { key: 'format' },
    }
    await expect(reader.load('w', source)).rejects.toMatchObject(lost)
    await expect(reader.save('other', source, { message: '' })).rejects.toMatchObject(lost)
  })
})

describe('a load that cannot be reported', () => {
  it('changes nothing: tags that cannot be read are found out before the directory is touched', async () => {
    await bundles.save('w', source, { message: '' })
    writeFileSync(join(source, 'f'), 'two')
    const failure = new WorkspaceError('UNAVAILABLE', 'down')
    let isWritten = (): void => undefined
    const written = new Promise<void>((resolve) => (isWritten = resolve))
    const failLate = { next: () => written.then(() => Promise.reject(failure)) }
    const list: ObjectStore['list'] = (prefix, given) =>
      prefix.includes('/tags/') ? { [Symbol.asyncIterator]: () => failLate } : store.list(prefix, given)
    const onProgress = ({ bytesDone }: { readonly bytesDone: number }) => bytesDone > 0 && isWritten()
    const loading = createBundleStore(changed({ list })).load('w', source, { version: 1, onProgress })
    await expect(loading).rejects.toBe(failure)
    expect(readFileSync(join(source, 'f'), 'utf8')).toBe('two')
  })
})

describe('stored bytes that are not what was written', () => {
  it('of a pack are found before the directory changes, wherever they are', async () => {
    await bundles.save('w', source, { message: '' })
    const key = (await keys()).find((each) => each.startsWith('packs/')) ?? ''
    const object = await store.get(key)
    const bytes = object === null ? Buffer.alloc(0) : Buffer.concat(await all(object.body))
    const target = join(base, 'target')
    mkdirSync(target)
    writeFileSync(join(target, 'old'), '')
    const findDamage = async (damaged: Uint8Array, what: string): Promise<void> => {
      await store.put(key, damaged)
      const fresh = createBundleStore(store)
      const corrupt = { code: 'CORRUPT', details: { key } }
      await expect(fresh.load('w', target), what).rejects.toMatchObject(corrupt)
      expect(readdirSync(target)).toEqual(['old'])
      await expect(all((await fresh.download('w')) ?? nothing()), what).rejects.toMatchObject(corrupt)
      const { problems = [] } = (await fresh.verify('w')) ?? {}
      expect(
        problems.map(({ object }) => object),
        what,
      ).toEqual([key])
    }
    for (let index = 0; index < bytes.length; index += index < 16 ? 1 : 7) {
      const damaged = Buffer.from(bytes)
      damaged[index] = (damaged[index] ?? 0) ^ 0x10
      await findDamage(damaged, `byte ${index}`)
    }
    await findDamage(bytes.subarray(0, -3), 'cut')
    await findDamage(Buffer.alloc(0), 'empty')
    await findDamage(Buffer.concat([bytes, Buffer.alloc(1)]), 'a byte more')
    await findDamage(Buffer.concat([bytes, bytes]), 'twice')
    await findDamage(Buffer.concat([bytes.subarray(0, 8), bytes]), 'bytes before it')
    await store.delete(key)
    await expect(bundles.load('w', target)).rejects.toMatchObject({ code: 'CORRUPT', details: { key } })
  })

  it.each([
    'not json',
    '[]',
    '{}',
    (text: string) => text.replace('"version":1', '"version":7'),
    (text: string) => text.replace('"workspaceId":"w"', '"workspaceId":"x"'),
    (text: string) => text.replace(/"packs":\[[^\]]*\]/, '"packs":[]'),
    (text: string) => text.replace('"parent":null', '"parent":1'),
    (text: string) => text.slice(0, -1),
  ])('of a record are CORRUPT and name it (%#)', async (change) => {
    await bundles.save('w', source, { message: '' })
    const key = (await keys()).find(isRecord) ?? ''
    const object = await store.get(key)
    const text = object === null ? '' : Buffer.concat(await all(object.body)).toString()
    await store.put(key, Buffer.from(typeof change === 'string' ? change : change(text)))
    await expect(bundles.load('w', join(base, 'target'))).rejects.toMatchObject({
      code: 'CORRUPT',
      details: { key, workspaceId: 'w' },
    })
  })

  it('of a record may hold fields of a later release', async () => {
    await bundles.save('w', source, { message: 'm' })
    const key = (await keys()).find(isRecord) ?? ''
    const object = await store.get(key)
    const text = object === null ? '' : Buffer.concat(await all(object.body)).toString()
    await store.put(key, Buffer.from(text.replace('{', '{"later":1,')))
    expect((await all(bundles.history('w')))[0]).toMatchObject({ message: 'm' })
  })
})

describe('upload and download', () => {
  it('list what of an archive is not in the version, or otherwise', async () => {
    const archive = tarGz(
      file('a', 'content', { mode: 0o4755 }),
      rawHeader({ name: 'pipe', type: '6' }),
      rawHeader({ name: 'terminal', type: '3' }),
      rawHeader({ name: 'shut/', type: '5', mode: 0o700 }),
      file('shut/closed', 'content', { mode: 0 }),
    )
    // Root may read everything; everybody else is without privileges already.
    const isRoot = process.geteuid?.() === 0
    if (isRoot) process.seteuid?.(65_534)
    const uploaded = await bundles.upload('w', archive).finally(() => isRoot && process.seteuid?.(0))
    expect(uploaded).toMatchObject({
      files: 1,
      skipped: [
        { path: 'pipe', reason: 'special-file' },
        { path: 'terminal', reason: 'special-file' },
        { path: 'shut/closed', reason: 'unreadable' },
      ],
      changed: [{ path: 'a', reason: 'set-uid bit dropped' }],
    })
  })

  it('give an archive once: who reads it again does not find an empty one', async () => {
    await bundles.save('w', source, { message: '' })
    const download = await bundles.download('w')
    expect((await all(download ?? nothing())).length).toBeGreaterThan(0)
    await expect(all(download ?? nothing())).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    const opened = await bundles.readFile('w', 'f')
    expect(Buffer.concat(await all(opened?.body ?? nothing())).toString()).toBe('one')
    await expect(all(opened?.body ?? nothing())).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('carry what an archive holds', async () => {
    const archive = tarGz(file('a', 'content'))
    const steps = new Set<string>()
    const onProgress = ({ step }: UploadProgress): void => void steps.add(step)
    const version = await bundles.upload('w', archive, { message: 'up', onProgress })
    expect([...steps]).toEqual(['extract', 'save'])
    expect(version).toMatchObject({
      version: 1,
      files: 1,
      contentBytes: 7,
    })
    for (const format of ['tar.zst', 'tar.gz'] as const) {
      const download = await bundles.download('w', { format })
      const unpacked = join(base, format)
      await extractBundle(download ?? nothing(), unpacked)
      expect(readFileSync(join(unpacked, 'a'), 'utf8')).toBe('content')
      const again = await bundles.upload(
        'w2',
        Buffer.concat(await all((await bundles.download('w', { format })) ?? nothing())),
      )
      expect(again.files).toBe(1)
    }
    await bundles.load('w', join(base, 'target'))
    expect(readFileSync(join(base, 'target/a'), 'utf8')).toBe('content')
  })

  it.each([
    ['UNSAFE_PATH', tarGz(file('../evil'))],
    ['CORRUPT', tarGz(file('a', 'x'.repeat(9000))).subarray(0, -12)],
    ['INVALID_INPUT', Buffer.from('a text that is no archive')],
    ['INVALID_INPUT', Buffer.alloc(0)],
  ] as const)('refuse an archive with %s and keep nothing of it', async (code, archive) => {
    async function* pieces(): AsyncGenerator<Uint8Array> {
      for (let index = 0; index < archive.length; index += 50) yield archive.subarray(index, index + 50)
    }
    const before = readdirSync(tmpdir()).filter((name) => name.startsWith('ws-upload-'))
    await expect(bundles.upload('w', pieces())).rejects.toMatchObject({ code })
    expect(await keys()).toEqual([])
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith('ws-upload-'))).toEqual(before)
  })
})
