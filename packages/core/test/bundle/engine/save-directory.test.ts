import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import fc from 'fast-check'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { WorkspaceError } from '../../../src/errors.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { useKnownTree } from '../../../src/bundle/engine/known/known-trees.ts'
import { decodeTreeNode } from '../../../src/bundle/format/tree-node.ts'
import { startSaving } from './save-session.ts'
import { listDirectory, listSaved, readChunks } from './saved-files.ts'

/** Times far enough in the past for the cache to trust them cannot be given to a change time; a session can wait. */
async function settle(directory: string): Promise<void> {
  const newest = (): number => {
    const list = execFileSync('find', [directory, '-printf', '%C@\n'], { encoding: 'utf8' })
      .trim()
      .split('\n')
    return Math.max(...list.map(Number))
  }
  while (Date.now() / 1000 - newest() < 2.1) await new Promise((resolve) => setTimeout(resolve, 50))
}

function sampleFiles(): Record<string, string | Uint8Array> {
  const files: Record<string, string | Uint8Array> = {
    'big.bin': randomBytes(3_000_000),
    'log.txt': 'line\n'.repeat(500_000),
  }
  for (let index = 0; index < 300; index += 1)
    files[`src/part-${index % 7}/file-${index}.ts`] = `export const value = ${index}\n`
  return files
}

describe('saving a directory', () => {
  it.each([
    ['memory', () => memoryStore()],
    ['local', () => localStore({ root: temporaryDirectory() })],
  ])('stores everything about it in a %s store', async (_, store) => {
    const directory = temporaryDirectory()
    writeFiles(directory, {
      ...sampleFiles(),
      'empty.txt': '',
      'exact-64k': randomBytes(65_536),
      'over-64k': randomBytes(65_537),
    })
    mkdirSync(join(directory, 'empty/also-empty'), { recursive: true })
    symlinkSync('../nowhere', join(directory, 'src/dangling'))
    symlinkSync('/etc/passwd', join(directory, 'absolute'))
    symlinkSync('.', join(directory, 'loop'))
    chmodSync(join(directory, 'log.txt'), 0o600)
    chmodSync(join(directory, 'empty'), 0o1777)
    utimesSync(join(directory, 'log.txt'), new Date(-1500), new Date(-1500))
    const session = await startSaving(directory, temporaryDirectory(), { store: store() })
    const saved = await session.save()
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
    const stats = lstatSync(directory, { bigint: true })
    expect(saved.root.mode).toBe(Number(stats.mode) & 0o7777)
    expect(BigInt(saved.root.mtimeSeconds) * 1_000_000_000n + BigInt(saved.root.mtimeNanoseconds)).toBe(
      stats.mtimeNs,
    )
    expect(saved.stats).toMatchObject({ files: 305, symlinks: 3, directories: 11 })
    expect(saved.skipped).toEqual([])
    expect(saved.packs.length).toBe(1)
  })

  it('stores any tree of any bytes in names', async () => {
    const name = fc
      .uint8Array({ minLength: 1, maxLength: 20 })
      .map((bytes) => Buffer.from(bytes).toString('latin1').replace(/[/\0]/g, '_'))
      .filter((text) => text !== '.' && text !== '..')
    const tree = fc.dictionary(
      name,
      fc.oneof(
        fc.uint8Array({ maxLength: 200 }),
        fc.dictionary(name, fc.uint8Array({ maxLength: 50 }), { maxKeys: 5 }),
      ),
      { maxKeys: 12 },
    )
    await fc.assert(
      fc.asyncProperty(tree, tree, async (first, second) => {
        const directory = temporaryDirectory()
        const session = await startSaving(directory, temporaryDirectory())
        for (const content of [first, second, first]) {
          for (const old of readdirSync(Buffer.from(directory), { encoding: 'buffer' })) {
            rmSync(Buffer.concat([Buffer.from(`${directory}/`), old]), { recursive: true })
          }
          const write = (base: Buffer, value: object): void => {
            for (const [inner, item] of Object.entries(value)) {
              const path = Buffer.concat([base, Buffer.from(`/${inner}`, 'latin1')])
              if (item instanceof Uint8Array) writeFileSync(path, item)
              else {
                mkdirSync(path)
                write(path, item as object)
              }
            }
          }
          write(Buffer.from(directory), content)
          const saved = await session.save()
          expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
        }
      }),
      { numRuns: 25 },
    )
  })

  it('keeps hard links as one file with one content', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, { 'a/one': 'shared content', 'b/other': 'x' })
    linkSync(join(directory, 'a/one'), join(directory, 'b/two'))
    linkSync(join(directory, 'b/other'), join(temporaryDirectory(), 'outside'))
    const session = await startSaving(directory, temporaryDirectory())
    const saved = await session.save()
    const groups = await hardLinkGroups(session.repository, saved)
    expect(groups['a/one']).not.toBe(0n)
    expect(groups['b/two']).toBe(groups['a/one'])
    expect(groups['b/other']).toBe(0n)
    rmSync(join(directory, 'a/one'))
    const later = await hardLinkGroups(session.repository, await session.save())
    expect(later['b/two']).toBe(0n)
  })

  it('stores a sparse file by what is in it', async () => {
    const directory = temporaryDirectory()
    const path = join(directory, 'disk.img')
    writeFileSync(path, '')
    truncateSync(path, 256 * 1024 * 1024)
    execFileSync(
      'dd',
      ['if=/dev/urandom', `of=${path}`, 'bs=4096', 'count=1', 'seek=20001', 'conv=notrunc'],
      { stdio: 'ignore' },
    )
    const session = await startSaving(directory, null)
    const saved = await session.save()
    expect(saved.stats.contentBytes).toBe(256 * 1024 * 1024)
    expect(saved.uploadedBytes).toBeLessThan(64 * 1024)
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })

  it('goes 4,096 directories deep', async () => {
    const directory = temporaryDirectory()
    execFileSync('python3', [
      '-c',
      'import os,sys\nos.chdir(sys.argv[1])\nfor i in range(4096):\n os.mkdir("d");os.chdir("d")\nopen("bottom","w").write("deep")',
      directory,
    ])
    onTestFinished(() => void execFileSync('rm', ['-rf', directory]))
    const session = await startSaving(directory, temporaryDirectory())
    const saved = await session.save()
    expect(saved.stats).toMatchObject({ files: 1, directories: 4097 })
    expect(saved.skipped).toEqual([])
    const again = await session.save()
    expect(again.root.node).toBe(saved.root.node)
    expect(session.calls.put).toBe(0)
  })

  it('skips and lists what is neither file, directory nor link, and opens none of it', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, { 'plain.txt': 'x' })
    execFileSync('mkfifo', [join(directory, 'pipe')])
    const session = await startSaving(directory, null)
    const saved = await session.save()
    expect(saved.skipped).toEqual([{ path: 'pipe', reason: 'special-file' }])
    expect(saved.stats.files).toBe(1)
  })

  it('leaves out what is excluded, and lists it', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, {
      'node_modules/a/index.js': 'x',
      'src/node_modules/b.js': 'y',
      'src/index.ts': 'z',
    })
    const session = await startSaving(directory, temporaryDirectory())
    const saved = await session.save({ exclude: ['node_modules', 'src/*.ts'] })
    expect(saved.excluded).toEqual(['node_modules', 'src/index.ts'])
    expect(Object.keys(await listSaved(session.repository, saved))).toEqual([
      'src',
      'src/node_modules',
      'src/node_modules/b.js',
    ])
    const all = await session.save({ exclude: [] })
    expect(await listSaved(session.repository, all)).toEqual(listDirectory(directory))
  })

  it('fails when the directory is not there, and when it is a file', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, { file: 'x' })
    const absent = await startSaving(join(directory, 'absent'), null)
    await expect(absent.save()).rejects.toMatchObject({ code: 'NOT_FOUND' })
    const file = await startSaving(join(directory, 'file'), null)
    await expect(file.save()).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })
})

describe('what a save costs', () => {
  it('is nothing but a walk when nothing has changed', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const session = await startSaving(directory, temporaryDirectory())
    const first = await session.save()
    const again = await session.save()
    expect(session.calls).toMatchObject({ put: 0, get: 0, list: 0, head: 0 })
    expect(again.root).toEqual(first.root)
    expect(again.packs).toEqual(first.packs)
    expect(again).toMatchObject({
      newPacks: [],
      uploadedBytes: 0,
      added: { files: 0 },
      changed: { files: 0 },
      removed: { files: 0 },
    })
    expect(again.unchanged).toEqual({ files: 302, bytes: first.stats.contentBytes })
  })

  it('is one pack of about what is new when a few files have changed', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const session = await startSaving(directory, temporaryDirectory())
    await session.save()
    await settle(directory)
    await session.save()
    writeFiles(directory, { 'src/part-1/file-1.ts': 'changed\n', 'src/new.ts': 'new\n' })
    rmSync(join(directory, 'src/part-2/file-2.ts'))
    const saved = await session.save()
    expect(session.calls).toMatchObject({ put: 1, get: 0, list: 0, head: 0 })
    expect(session.calls.putBytes).toBeLessThan(10_000)
    expect(saved).toMatchObject({
      added: { files: 1, bytes: 4 },
      changed: { files: 1, bytes: 8 },
      removed: { files: 1, bytes: 23 },
    })
    expect(saved.unchanged.files).toBe(300)
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })

  it('is no second copy of content that the parent or the save itself has', async () => {
    const directory = temporaryDirectory()
    const content = randomBytes(2_000_000)
    writeFiles(directory, { 'a.bin': content, 'b.bin': content, 'c/d.bin': content })
    const session = await startSaving(directory, temporaryDirectory())
    const first = await session.save()
    expect(first.uploadedBytes).toBeLessThan(2_010_000)
    renameSync(join(directory, 'a.bin'), join(directory, 'c/moved.bin'))
    const second = await session.save()
    expect(second.uploadedBytes).toBeLessThan(10_000)
    expect(second.reusedBytes).toBe(6_000_000)
  })

  it.each([
    ['a byte was put in front', (old: Buffer) => Buffer.concat([Buffer.from('x'), old]), 1_500_000],
    ['a mebibyte was appended', (old: Buffer) => Buffer.concat([old, randomBytes(1_048_576)]), 2_300_000],
    [
      'a byte in the middle was changed',
      (old: Buffer) => Buffer.concat([old.subarray(0, 6e6), Buffer.from('x'), old.subarray(6e6 + 1)]),
      1_500_000,
    ],
  ])('is about the change when in a large file %s', async (_, change, most) => {
    const directory = temporaryDirectory()
    const path = join(directory, 'large.bin')
    writeFileSync(path, randomBytes(12_000_000))
    const session = await startSaving(directory, temporaryDirectory())
    await session.save()
    writeFileSync(path, change(readFileSync(path)))
    const saved = await session.save()
    expect(saved.uploadedBytes).toBeLessThan(most)
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })

  it.each([
    ['is gone', (cache: string) => rmSync(cache, { recursive: true })],
    [
      'is damaged',
      (cache: string) => {
        for (const name of readdirSync(cache)) {
          const bytes = readFileSync(join(cache, name))
          for (let index = 40; index < bytes.length; index += 500) bytes[index] = (bytes[index] ?? 0) ^ 255
          writeFileSync(join(cache, name), bytes)
        }
      },
    ],
    [
      'is cut off',
      (cache: string) => {
        for (const name of readdirSync(cache)) truncateSync(join(cache, name), 100)
      },
    ],
  ])('is reading, but no upload, when the cache %s', async (_, spoil) => {
    const directory = temporaryDirectory()
    const cache = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const session = await startSaving(directory, cache)
    const first = await session.save()
    spoil(cache)
    const again = await session.save()
    expect(session.calls.put).toBe(0)
    expect(again.root).toEqual(first.root)
    expect(again.unchanged.files).toBe(302)
  })

  it('is without the packs of which nothing is left', async () => {
    const directory = temporaryDirectory()
    const session = await startSaving(directory, temporaryDirectory())
    const write = (name: string): void => writeFiles(directory, { [`${name}/file`]: randomBytes(1_500_000) })
    write('first')
    await session.save()
    write('second')
    const { packs } = await session.save()
    expect(packs.length).toBe(2)
    write('first')
    const saved = await session.save()
    expect(saved.packs.map(({ id }) => id)).toEqual([packs[1]?.id, ...saved.newPacks])
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })

  it('does not grow with the number of versions', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, { 'base.bin': randomBytes(500_000), 'src/a.ts': 'a\n' })
    const cache = temporaryDirectory()
    const session = await startSaving(directory, cache)
    await session.save()
    let most = 0
    for (let version = 0; version < 300; version += 1) {
      writeFiles(directory, { [`src/${version % 5}/file.ts`]: `version ${version}\n` })
      const saved = await session.save()
      expect(session.calls).toMatchObject({ put: 1, get: 0, list: 0, head: 0 })
      most = Math.max(most, saved.packs.length)
      if (version % 50 === 49)
        expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
    }
    expect(most).toBeLessThan(32)
    // What is remembered between saves does not grow either.
    await useKnownTree(cache, session.repository.marker.repository, async ({ packs, chunkPacks }) => {
      expect(packs.size).toBeLessThan(most + 17)
      expect([...chunkPacks.values()].filter((pack) => !packs.has(pack))).toEqual([])
    })
  })
})

describe('a cache that is not this version’s', () => {
  it('does not make a save name chunks that its packs do not hold', async () => {
    const directory = temporaryDirectory()
    const cache = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const session = await startSaving(directory, cache)
    await session.save()
    const alone = await session.save({ parent: null })
    expect(alone.added.files).toBe(302)
    expect(await listSaved(session.repository, alone)).toEqual(listDirectory(directory))
  })

  it('is not used for another repository', async () => {
    const directory = temporaryDirectory()
    const cache = temporaryDirectory()
    writeFiles(directory, { 'a.txt': 'a' })
    await (await startSaving(directory, cache)).save()
    const other = await startSaving(directory, cache)
    const saved = await other.save()
    expect(await listSaved(other.repository, saved)).toEqual(listDirectory(directory))
  })
})

describe('a file that changes', () => {
  it('is seen when its size and modification time are those of before', async () => {
    const directory = temporaryDirectory()
    for (let index = 0; index < 50; index += 1) writeFiles(directory, { [`file-${index}`]: 'before' })
    const session = await startSaving(directory, temporaryDirectory())
    await session.save()
    for (let index = 0; index < 50; index += 1) {
      const path = join(directory, `file-${index}`)
      const { atime, mtime } = lstatSync(path)
      writeFileSync(path, 'after!')
      utimesSync(path, atime, mtime)
    }
    const saved = await session.save()
    expect(saved.changed.files).toBe(50)
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })
})

describe('an encrypted repository', () => {
  it('shows no 8 bytes of a name or content, and other sizes than those of single files', async () => {
    const directory = temporaryDirectory()
    const secret = 'confidential-file-name'
    const content = 'the launch code is 0000 '.repeat(20)
    writeFiles(directory, {
      [`${secret}.txt`]: content,
      [`${secret}/noise.bin`]: randomBytes(100_000),
      'one.txt': 'x',
    })
    symlinkSync('a-very-secret-target', join(directory, 'link'))
    const store = memoryStore()
    const session = await startSaving(directory, temporaryDirectory(), {
      store,
      encryption: { key: Buffer.alloc(32, 9) },
    })
    const saved = await session.save()
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
    const everything = await readEverything(store)
    const plain = [
      secret,
      content,
      'a-very-secret-target',
      readFileSync(join(directory, `${secret}/noise.bin`))
        .toString('latin1')
        .slice(0, 2000),
    ]
    for (const text of plain) {
      for (let start = 0; start + 8 <= text.length; start += 1) {
        expect(everything.includes(Buffer.from(text.slice(start, start + 8), 'latin1'))).toBe(false)
      }
    }
    writeFiles(directory, { 'one.txt': 'y'.repeat(700) })
    const small = await session.save()
    writeFiles(directory, { 'one.txt': randomBytes(1500) })
    expect((await session.save()).uploadedBytes).toBe(small.uploadedBytes)
  })

  it('shares no content id with another one', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const ids: Set<string>[] = []
    for (const byte of [1, 2]) {
      const session = await startSaving(directory, null, { encryption: { key: Buffer.alloc(32, byte) } })
      ids.push(new Set((await readChunks(session.repository, await session.save())).keys()))
    }
    expect([...(ids[0] ?? [])].filter((id) => ids[1]?.has(id))).toEqual([])
  })
})

describe('a save that fails', () => {
  it('fails with what the store fails with, and the next one works', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    let isDown = false
    const memory = memoryStore()
    const store: ObjectStore = {
      ...memory,
      name: memory.name,
      capabilities: memory.capabilities,
      put: async (key, body, options) => {
        if (isDown) throw new WorkspaceError('UNAVAILABLE', 'The store is down.')
        return memory.put(key, body, options)
      },
    }
    const session = await startSaving(directory, temporaryDirectory(), { store })
    isDown = true
    await expect(session.save()).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    isDown = false
    const saved = await session.save()
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })

  it('stops with the reason when it is aborted, at any progress', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const session = await startSaving(directory, temporaryDirectory())
    for (const stopAt of [0, 1, 50, 200]) {
      const controller = new AbortController()
      const reason = new Error('enough')
      let calls = 0
      const onProgress = (): void => {
        calls += 1
        if (calls > stopAt) controller.abort(reason)
      }
      await expect(session.save({ signal: controller.signal, onProgress })).rejects.toBe(reason)
    }
    expect(existsSync(directory)).toBe(true)
    expect(await listSaved(session.repository, await session.save())).toEqual(listDirectory(directory))
  })

  it('tells how far it is', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, sampleFiles())
    const session = await startSaving(directory, null)
    const seen: (readonly [number, number | null])[] = []
    await session.save({
      onProgress: ({ filesDone, filesExpected }) => void seen.push([filesDone, filesExpected]),
    })
    expect(seen.at(-1)).toEqual([302, 302])
  })
})

describe('a large directory', () => {
  it('is saved in a thread, as it would be here', async () => {
    const directory = temporaryDirectory()
    const files: Record<string, string | Uint8Array> = { 'large.bin': randomBytes(20_000_000) }
    for (let index = 0; index < 4000; index += 1)
      files[`dir-${index % 50}/file-${index}.txt`] = `content ${index}\n`
    writeFiles(directory, files)
    const session = await startSaving(directory, temporaryDirectory())
    const saved = await session.save()
    expect(saved.packs.length).toBeGreaterThan(1)
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
    appendFileSync(join(directory, 'dir-3/file-3.txt'), 'more')
    const second = await session.save()
    expect(session.calls).toMatchObject({ put: 1, get: 0 })
    expect(await listSaved(session.repository, second)).toEqual(listDirectory(directory))
    const controller = new AbortController()
    controller.abort(new Error('enough'))
    await expect(session.save({ signal: controller.signal })).rejects.toThrow('enough')
  })

  it('has the chunks that its files have in a small one, whichever thread cuts them', async () => {
    const directory = temporaryDirectory()
    const sizes = [65_536, 65_537, 200_000, 700_000, 1_048_576, 1_048_577, 5_000_000]
    const files = sizes.map((bytes) => [`same/${bytes}`, randomBytes(bytes)] as const)
    writeFiles(directory, Object.fromEntries(files))
    writeFileSync(join(directory, 'same/holes'), 'content')
    truncateSync(join(directory, 'same/holes'), 600_000)
    const small = await startSaving(directory, temporaryDirectory())
    const alone = await nodeOf(small, 'same')
    for (let index = 0; index < 4000; index += 1) writeFiles(directory, { [`many/${index}`]: `${index}\n` })
    const large = await startSaving(directory, temporaryDirectory())
    expect(await nodeOf(large, 'same')).toBe(alone)
  })
})

/** Of a directory at the top of what is saved now. */
async function nodeOf(session: Awaited<ReturnType<typeof startSaving>>, name: string): Promise<string> {
  const saved = await session.save()
  const chunks = await readChunks(session.repository, saved)
  const root = decodeTreeNode(chunks.get(saved.root.node) ?? Buffer.alloc(0), saved.root.node)
  const entry = root.kind === 'entries' ? root.entries.find((found) => found.name === name) : undefined
  if (entry?.type !== 'directory') throw new Error(`not a directory: ${name}`)
  return entry.node
}

async function readEverything(store: ObjectStore): Promise<Buffer> {
  const parts: Uint8Array[] = []
  for await (const { key } of store.list('')) {
    parts.push(Buffer.from(key))
    const object = await store.get(key)
    if (object !== null) for await (const part of object.body) parts.push(part)
  }
  return Buffer.concat(parts)
}

async function hardLinkGroups(
  repository: Parameters<typeof readChunks>[0],
  saved: Awaited<ReturnType<Awaited<ReturnType<typeof startSaving>>['save']>>,
): Promise<Record<string, bigint>> {
  const chunks = await readChunks(repository, saved)
  const groups: Record<string, bigint> = {}
  const visit = (path: string, id: string): void => {
    const node = decodeTreeNode(chunks.get(id) ?? Buffer.alloc(0), id)
    if (node.kind !== 'entries') return
    for (const entry of node.entries) {
      if (entry.type === 'file') groups[path + entry.name] = entry.hardLinkGroup
      if (entry.type === 'directory') visit(`${path}${entry.name}/`, entry.node)
    }
  }
  visit('', saved.root.node)
  return groups
}
