import { Buffer } from 'node:buffer'
import { execFileSync, spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mount } from '../../support/mount.ts'
import { memoryStore } from '@ws/store-memory'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import type { LoadDirectoryOptions } from '../../../src/bundle/engine/load/load-options.ts'
import { readVersionFile } from '../../../src/bundle/engine/read/read-file.ts'
import { readTree } from '../../../src/bundle/engine/read/read-tree.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { saveDirectory } from '../../../src/bundle/engine/save/save-directory.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { collectGarbage } from '../../support/collect-garbage.ts'
import { listTree } from '../tree-listing.ts'
import { recordOf, storeTree } from './store-tree.ts'

let base = ''
let source = ''
let target = ''
let repository: Repository
const counts = { gets: 0, bytes: 0, puts: 0 }

const noise = (seed: string, outputLength: number): Buffer =>
  createHash('shake256', { outputLength }).update(seed).digest()

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-load-resources-'))
  source = join(base, 'source')
  target = join(base, 'target')
  mkdirSync(source)
  const inner = memoryStore()
  const store: ObjectStore = {
    ...inner,
    async get(key, options) {
      const object = await inner.get(key, options)
      counts.gets += 1
      if (object === null) return null
      const { info, body } = object
      async function* counted() {
        for await (const part of body) {
          counts.bytes += part.length
          yield part
        }
      }
      return { info, body: counted(), discard: () => object.discard() }
    },
    put(key, body, options) {
      counts.puts += 1
      return inner.put(key, body, options)
    },
  }
  repository = await openRepository(store)
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

const load = (record: VersionRecord, options: Partial<LoadDirectoryOptions> = {}, directory = target) =>
  loadDirectory(repository, record, directory, { cacheDirectory: null, ...options })

async function save(
  directory: string,
  parent: VersionRecord | null,
  cacheDirectory: string | null,
): Promise<VersionRecord> {
  const tree = await saveDirectory(repository, { workspaceId: 'w', directory, parent, cacheDirectory })
  const { node } = tree.root
  return recordOf(node, tree.packs, {
    root: tree.root,
    stats: tree.stats,
    version: (parent?.version ?? 0) + 1,
  })
}

function reset(): void {
  Object.assign(counts, { gets: 0, bytes: 0, puts: 0 })
}

function makeWideTree(directories = 40): void {
  for (let directory = 0; directory < directories; directory += 1) {
    mkdirSync(join(source, `d${directory}/inner`), { recursive: true })
    for (let file = 0; file < 25; file += 1) {
      writeFileSync(join(source, `d${directory}/inner/f${file}`), noise(`${directory} ${file}`, 8000))
    }
  }
}

describe('reading a part of a version', () => {
  it('one file costs a few requests and little more than its frame', async () => {
    makeWideTree()
    const record = await storeTree(repository, source, 2 << 20)
    const packBytes = record.packs.reduce((sum, { bytes }) => sum + bytes, 0)
    reset()
    const file = await readVersionFile(repository, record, 'd7/inner/f3')
    const parts: Uint8Array[] = []
    for await (const part of file?.body ?? []) parts.push(part)
    expect(Buffer.concat(parts).equals(readFileSync(join(source, 'd7/inner/f3')))).toBe(true)
    expect(file?.info).toMatchObject({ path: 'd7/inner/f3', size: 8000, mode: 0o644 })
    expect(counts.gets).toBeLessThanOrEqual(6)
    expect(counts.bytes).toBeLessThan(packBytes / 4)
    reset()
    const result = await load(record, { paths: ['d7/inner/f3', 'd9'] })
    expect(Object.keys(listTree(target)).filter((path) => path.includes('/f'))).toHaveLength(26)
    expect(result.written).toEqual({ files: 26, bytes: 26 * 8000 })
    expect(counts.bytes).toBeLessThan(packBytes / 2)
  })

  it('gives any range of a file with holes', async () => {
    const content = Buffer.concat([noise('a', 700_000), Buffer.alloc(1_000_000), noise('b', 300_001)])
    writeFileSync(join(source, 'file'), content)
    const record = await storeTree(repository, source)
    for (const range of [
      { start: 0 },
      { start: 5, end: 6 },
      { start: 262_143, end: 262_145 },
      { start: 650_000, end: 1_800_000 },
      { start: 1_999_999, end: 9e9 },
    ]) {
      const parts: Uint8Array[] = []
      for await (const part of (await readVersionFile(repository, record, 'file', { range }))?.body ?? [])
        parts.push(part)
      expect(Buffer.concat(parts).equals(content.subarray(range.start, range.end))).toBe(true)
    }
    await expect(
      readVersionFile(repository, record, 'file', { range: { start: content.length } }),
    ).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    await expect(readVersionFile(repository, record, '../file')).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
    expect(await readVersionFile(repository, record, 'other')).toBeNull()
    expect(await readVersionFile(repository, record, 'file/below')).toBeNull()
  })

  it('touches nothing but the paths that were asked for', async () => {
    mkdirSync(join(source, 'a/b'), { recursive: true })
    for (const name of ['a/b/c', 'a/x', 'y']) writeFileSync(join(source, name), `version ${name}`)
    const record = await storeTree(repository, source)
    mkdirSync(join(target, 'a/b'), { recursive: true })
    for (const name of ['a/b/c', 'a/b/extra', 'a/x', 'y', 'z']) writeFileSync(join(target, name), 'mine')
    const before = lstatSync(join(target, 'a'), { bigint: true }).mtimeNs
    const result = await load(record, { paths: ['a/b'] })
    expect(result).toMatchObject({ written: { files: 1, bytes: 13 }, deleted: { files: 1, bytes: 4 } })
    const tree = listTree(target)
    expect(tree['a/b/c']?.content).toBe('version a/b/c')
    expect(Object.keys(tree).sort()).toEqual(['a', 'a/b', 'a/b/c', 'a/x', 'y', 'z'])
    for (const name of ['a/x', 'y', 'z']) expect(tree[name]?.content).toBe('mine')
    expect(lstatSync(join(target, 'a'), { bigint: true }).mtimeNs / 1000n).toBe(before / 1000n)
    await expect(load(record, { paths: ['y', 'nothing'] })).rejects.toMatchObject({ code: 'NOT_FOUND' })
    expect(readFileSync(join(target, 'y'), 'utf8')).toBe('mine')
    await expect(load(record, { paths: ['a/../y'] })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('lists the tree in order, or what is under a path', async () => {
    mkdirSync(join(source, 'a/b'), { recursive: true })
    for (const name of ['a/b/c', 'a-', 'z']) writeFileSync(join(source, name), name)
    const record = await storeTree(repository, source)
    const list = async (under?: string): Promise<string[]> => {
      const paths: string[] = []
      for await (const { path } of readTree(repository, record, { under })) paths.push(path)
      return paths
    }
    expect(await list()).toEqual(['a', 'a/b', 'a/b/c', 'a-', 'z'])
    expect(await list('a/b')).toEqual(['a/b', 'a/b/c'])
    expect(await list('a/b/c')).toEqual(['a/b/c'])
    expect(await list('nothing')).toEqual([])
  })
})

describe('loading what is nearly there', () => {
  it('reads only the changed frames and nodes, and the save after it stores nothing', async () => {
    makeWideTree()
    const cacheDirectory = join(base, 'cache')
    const first = await save(source, null, null)
    await load(first, { cacheDirectory })
    reset()
    const again = await save(target, first, cacheDirectory)
    expect(again.root.node).toBe(first.root.node)
    expect(counts).toEqual({ gets: 0, bytes: 0, puts: 0 })
    appendFileSync(join(target, 'd3/inner/f1'), 'more')
    appendFileSync(join(target, 'd30/inner/f2'), 'more')
    const second = await save(target, first, cacheDirectory)
    const stored = second.packs.at(-1)?.bytes ?? 0
    reset()
    const back = await load(first, { cacheDirectory })
    expect(back).toMatchObject({ written: { files: 2, bytes: 16_000 }, kept: { files: 998 } })
    expect(listTree(target)).toEqual(listTree(source))
    const forth = await load(second, { cacheDirectory })
    expect(forth.written.files).toBe(2)
    expect(forth.fetchedBytes).toBeLessThan(2 * stored)
    reset()
    await save(target, second, cacheDirectory)
    expect(counts.gets).toBe(0)
  })

  it('takes from a changed file what it shares with the version', async () => {
    writeFileSync(join(source, 'log'), noise('log', 3_000_000))
    const record = await storeTree(repository, source)
    mkdirSync(target)
    writeFileSync(
      join(target, 'log'),
      Buffer.concat([readFileSync(join(source, 'log')).subarray(0, 2_900_000), Buffer.alloc(9)]),
    )
    const result = await load(record)
    expect(result).toMatchObject({ written: { files: 1, bytes: 3_000_000 }, reusedBytes: 11 * 262_144 })
    expect(readFileSync(join(target, 'log')).equals(readFileSync(join(source, 'log')))).toBe(true)
  })

  it('finds a change that kept size and times', async () => {
    writeFileSync(join(source, 'file'), 'version')
    const record = await storeTree(repository, source)
    await load(record)
    const { atime, mtime } = statSync(join(target, 'file'))
    writeFileSync(join(target, 'file'), 'changed')
    execFileSync('touch', ['-d', mtime.toISOString(), join(target, 'file')])
    expect(atime).toBeInstanceOf(Date)
    await load(record)
    expect(readFileSync(join(target, 'file'), 'utf8')).toBe('version')
  })

  it('does not change a file through a second name outside of the directory', async () => {
    writeFileSync(join(source, 'file'), 'version', { mode: 0o640 })
    const record = await storeTree(repository, source)
    mkdirSync(target)
    writeFileSync(join(base, 'outside'), 'version', { mode: 0o600 })
    execFileSync('ln', [join(base, 'outside'), join(target, 'file')])
    await load(record)
    expect(statSync(join(base, 'outside')).mode & 0o777).toBe(0o600)
    expect(statSync(join(target, 'file')).mode & 0o777).toBe(0o640)
  })
})

describe('a load that cannot be done', () => {
  it('leaves the directory as it was when the disk is full', async () => {
    writeFileSync(join(source, 'large'), noise('large', 3_000_000))
    const record = await storeTree(repository, source)
    const disk = join(base, 'disk')
    mkdirSync(disk)
    const unmount = mount(disk, '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs')
    try {
      mkdirSync(join(disk, 'target'))
      writeFileSync(join(disk, 'target/mine'), 'stays')
      for (const name of ['target', 'absent']) {
        await expect(load(record, {}, join(disk, name))).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
      }
      expect(readdirSync(disk)).toEqual(['target'])
      expect(readFileSync(join(disk, 'target/mine'), 'utf8')).toBe('stays')
    } finally {
      unmount()
    }
  })

  it('can be cancelled at any time and leaves the old directory or the new one', async () => {
    makeWideTree(10)
    const record = await storeTree(repository, source)
    mkdirSync(target)
    writeFileSync(join(target, 'mine'), 'stays')
    const before = listTree(target)
    for (const stopAt of [0, 2]) {
      const controller = new AbortController()
      let calls = 0
      const reason = new Error('enough')
      const loading = load(record, {
        signal: controller.signal,
        onProgress: () => {
          if (calls++ === stopAt) controller.abort(reason)
        },
      })
      const error: unknown = await loading.catch((failure: unknown) => failure)
      if (error === reason) expect(listTree(target)).toEqual(before)
      else expect(listTree(target)).toEqual(listTree(source))
      expect(readdirSync(base).sort()).toEqual(['source', 'target'])
      if (error !== reason) break
    }
  })

  it('writes nothing elsewhere while somebody swaps directories for links', async () => {
    makeWideTree(8)
    const record = await storeTree(repository, source)
    const outside = join(base, 'outside')
    mkdirSync(outside)
    writeFileSync(join(outside, 'victim'), 'untouched')
    await load(record)
    const attacker = spawn('sh', [
      '-c',
      `cd ${target}; while :; do for d in d1 d2 d3 d4; do mv $d/inner $d/real 2>/dev/null; ln -s ${outside} $d/inner 2>/dev/null; rm -f $d/inner 2>/dev/null; mv $d/real $d/inner 2>/dev/null; done; done`,
    ])
    try {
      for (let round = 0; round < 5; round += 1) {
        for (let directory = 1; directory <= 4; directory += 1) {
          execFileSync('sh', ['-c', `echo x >> ${target}/d${directory}/inner/f1 || true`], {
            stdio: 'ignore',
          })
        }
        const outcome = await load(record).then(
          () => null,
          (error: unknown) => error,
        )
        if (outcome !== null) expect(outcome).toMatchObject({ name: expect.any(String) })
        const names = readdirSync(outside).sort()
        expect(names.filter((name) => name !== 'victim' && name !== 'f1')).toEqual([])
        expect(readFileSync(join(outside, 'victim'), 'utf8')).toBe('untouched')
      }
    } finally {
      const gone = once(attacker, 'exit')
      attacker.kill('SIGKILL')
      await gone
    }
  })
})

describe('a large load', () => {
  it('needs little memory and lets the event loop live', () => {
    const script = join(base, 'child.ts')
    writeFileSync(
      script,
      `import { createHash } from 'node:crypto'
       import { mkdirSync, openSync, readFileSync, writeSync, closeSync, rmSync, writeFileSync } from 'node:fs'
       import { monitorEventLoopDelay } from 'node:perf_hooks'
       import { localStore } from ${JSON.stringify(join(import.meta.dirname, '../../../../store-local/src/index.ts'))}
       import { openRepository } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/repository/repository.ts'))}
       import { loadDirectory } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/load/load-directory.ts'))}
       const [base, ...record] = process.argv.slice(2)
       const repository = await openRepository(localStore({ root: base + '/store' }))
       const delay = monitorEventLoopDelay({ resolution: 1 })
       delay.enable()
       await loadDirectory(repository, JSON.parse(readFileSync(base + '/record.json', 'utf8')), base + '/target', { cacheDirectory: null })
       delay.disable()
       const peak = Number(/VmHWM:\\s+(\\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))[1])
       console.log(JSON.stringify({ peak, delay: delay.percentile(99) / 1e6 }))`,
    )
    const build = join(base, 'build.ts')
    writeFileSync(
      build,
      `import { randomBytes } from 'node:crypto'
       import { writeFileSync } from 'node:fs'
       import { localStore } from ${JSON.stringify(join(import.meta.dirname, '../../../../store-local/src/index.ts'))}
       import { openRepository } from ${JSON.stringify(join(import.meta.dirname, '../../../src/bundle/engine/repository/repository.ts'))}
       import { buildPacks, fileOf, recordOf } from ${JSON.stringify(join(import.meta.dirname, 'store-tree.ts'))}
       const base = process.argv[2]
       const repository = await openRepository(localStore({ root: base + '/store' }))
       const packs = buildPacks(repository)
       const runs = Array.from({ length: 64 }, (_, index) => {
         const content = Buffer.alloc(1 << 20, 'some text that compresses well, ' + index)
         return { kind: 'chunk', id: packs.data(content), length: content.length }
       })
       const entries = []
       for (let file = 0; file < 8; file += 1) entries.push(fileOf('large' + file, [...runs, ...runs]))
       for (let file = 0; file < 2000; file += 1) {
         entries.push(fileOf('small' + file, [{ kind: 'chunk', id: packs.data(Buffer.from('file ' + file)), length: ('file ' + file).length }]))
       }
       const node = packs.node(entries)
       const record = recordOf(node, await packs.finish(), { stats: { files: 2008, directories: 0, symlinks: 0, contentBytes: 8 * 128 * 2 ** 20 } })
       writeFileSync(base + '/record.json', JSON.stringify(record))`,
    )
    const run = (file: string) =>
      spawnSync(process.execPath, ['--conditions=@ws/source', file, base], {
        encoding: 'utf8',
        env: { ...process.env, NODE_OPTIONS: '' },
      })
    const built = run(build)
    expect(built.stderr).toBe('')
    const loaded = run(script)
    expect(loaded.stderr).toBe('')
    const { peak } = JSON.parse(loaded.stdout) as { peak: number; delay: number }
    expect(statSync(join(base, 'target/large3')).size).toBe(128 * 2 ** 20)
    expect(peak).toBeLessThan(260 * 1024)
  })
})

it('gives the memory of what a load in this thread has written back, without a collection', async () => {
  for (let index = 0; index < 20; index += 1)
    writeFileSync(join(source, `file-${index}`), `words of ${index}, `.repeat(60_000))
  const record = await storeTree(repository, source)
  mkdirSync(target)
  collectGarbage()
  const before = process.memoryUsage().arrayBuffers
  await loadDirectory(repository, record, target, { cacheDirectory: null })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(4 * 1024 * 1024)
  expect(listTree(target)).toEqual(listTree(source))
})
