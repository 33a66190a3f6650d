import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '@ws/store-memory'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import type { LoadProgress } from '../../../src/bundle/engine/load/load-options.ts'
import { readTree } from '../../../src/bundle/engine/read/read-tree.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import { verifyVersion } from '../../../src/bundle/engine/maintain/verify-version.ts'
import { WorkspaceError } from '../../../src/errors.ts'
import { encodeTreeNode, type Run, type TreeEntry } from '../../../src/bundle/format/tree-node.ts'
import { listTree } from '../tree-listing.ts'
import { buildPacks, directoryOf, fileOf, recordOf, type PackBuilder } from './store-tree.ts'

let base = ''
let target = ''
let repository: Repository

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-hostile-'))
  target = join(base, 'target')
  mkdirSync(target)
  writeFileSync(join(target, 'mine'), 'stays')
  repository = await openRepository(memoryStore())
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

function chunk(builder: PackBuilder, text: string): Run {
  return { kind: 'chunk', id: builder.data(Buffer.from(text)), length: Buffer.byteLength(text) }
}

/** A node as it is stored, with one name replaced by another of the same length. */
function renamed(builder: PackBuilder, entries: readonly TreeEntry[], from: string, to: string): string {
  const bytes = encodeTreeNode(entries)
  const at = bytes.indexOf(from, 12, 'latin1')
  bytes.write(to, at, 'latin1')
  return builder.tree(bytes)
}

const hostile: Record<string, { build: (builder: PackBuilder) => string; code: string }> = {
  'a name that leads up': {
    build: (builder) => renamed(builder, [fileOf('xx', [chunk(builder, 'a')])], 'xx', '..'),
    code: 'CORRUPT',
  },
  'a name with a slash': {
    build: (builder) => renamed(builder, [fileOf('xxx', [chunk(builder, 'a')])], 'xxx', '/ab'),
    code: 'CORRUPT',
  },
  'a name that is a dot': {
    build: (builder) => renamed(builder, [fileOf('x', [chunk(builder, 'a')])], 'x', '.'),
    code: 'CORRUPT',
  },
  'a name with a NUL': {
    build: (builder) => renamed(builder, [fileOf('xx', [chunk(builder, 'a')])], 'xx', 'a\0'),
    code: 'CORRUPT',
  },
  'two entries of one name': {
    build: (builder) =>
      renamed(builder, [fileOf('a', [chunk(builder, 'a')]), fileOf('b', [chunk(builder, 'b')])], 'b', 'a'),
    code: 'CORRUPT',
  },
  'a size that its content does not have': {
    build: (builder) => builder.node([fileOf('a', [{ ...chunk(builder, 'abc'), length: 2 }])]),
    code: 'CORRUPT',
  },
  'a file that is longer than its pieces': {
    build: (builder) => builder.node([fileOf('a', [chunk(builder, 'abc')], { size: 4 })]),
    code: 'CORRUPT',
  },
  'a chunk that nobody has': {
    build: (builder) => builder.node([fileOf('a', [{ kind: 'chunk', id: '0'.repeat(64), length: 3 }])]),
    code: 'CORRUPT',
  },
  'a directory whose node is no node': {
    build: (builder) => builder.node([directoryOf('d', builder.tree(Buffer.from('nothing')), 1)]),
    code: 'CORRUPT',
  },
  'a directory that says to hold less than it does': {
    build: (builder) => {
      const node = builder.node([fileOf('a', [chunk(builder, 'a')]), fileOf('b', [chunk(builder, 'b')])])
      return builder.node([directoryOf('d', node, 1)])
    },
    code: 'CORRUPT',
  },
  'a directory that says to hold more than it does': {
    build: (builder) => builder.node([directoryOf('d', builder.node([]), 7)]),
    code: 'CORRUPT',
  },
  'directories that double 40 times': {
    build(builder) {
      let node = builder.node([fileOf('a', [chunk(builder, 'a')])])
      for (let level = 0, below = 1; level < 40; level += 1, below = 2 * below + 2) {
        node = builder.node([directoryOf('l', node, below), directoryOf('r', node, below)])
      }
      return node
    },
    code: 'QUOTA_EXCEEDED',
  },
  'more levels than allowed': {
    build(builder) {
      let node = builder.node([])
      for (let level = 0; level < 4200; level += 1) node = builder.node([directoryOf('d', node, level)])
      return node
    },
    code: 'QUOTA_EXCEEDED',
  },
  'a file of all zeros that is larger than allowed': {
    build: (builder) => builder.node([fileOf('a', [{ kind: 'zeros', id: '', length: 2 ** 45 }])]),
    code: 'QUOTA_EXCEEDED',
  },
  'a file of 20,000 pieces of one byte': {
    build(builder) {
      const run = chunk(builder, 'a')
      return builder.node([
        fileOf(
          'a',
          Array.from({ length: 20_000 }, () => run),
        ),
      ])
    },
    code: 'CORRUPT',
  },
  'hard links with different contents': {
    build: (builder) =>
      builder.node([
        fileOf('a', [chunk(builder, 'a')], { hardLinkGroup: 1n } as Partial<TreeEntry>),
        fileOf('b', [chunk(builder, 'b')], { hardLinkGroup: 1n } as Partial<TreeEntry>),
      ]),
    code: 'CORRUPT',
  },
}

describe('a hostile tree', () => {
  it.each(Object.keys(hostile))('%s is refused before anything is changed', async (name) => {
    const builder = buildPacks(repository)
    const { build, code } = hostile[name] ?? { build: () => '', code: '' }
    const node = build(builder)
    const record = recordOf(node, await builder.finish())
    for (const directory of [target, join(base, 'absent')]) {
      await expect(
        loadDirectory(repository, record, directory, { cacheDirectory: null }),
      ).rejects.toMatchObject({ code })
    }
    expect(listTree(target)).toMatchObject({ mine: { content: 'stays' } })
    expect(readdirSync(base)).toEqual(['target'])
  })

  it('links are made as text, last, and nothing is written through them', async () => {
    const builder = buildPacks(repository)
    const facts = { mode: 0o777, mtimeSeconds: 0, mtimeNanoseconds: 0 }
    const inner = builder.node([fileOf('escape', [chunk(builder, 'x')])])
    const node = builder.node([
      { type: 'symlink', name: 'a', ...facts, target: '..' },
      { type: 'symlink', name: 'c', ...facts, target: '/etc' },
      directoryOf('b', inner, 1),
    ])
    const record = recordOf(node, await builder.finish())
    execFileSync('ln', ['-s', '..', join(target, 'b')])
    await loadDirectory(repository, record, target, { cacheDirectory: null })
    expect(Object.keys(listTree(target)).sort()).toEqual(['a', 'b', 'b/escape', 'c'])
    expect(readdirSync(base)).toEqual(['target'])
  })

  it('a frame that says to hold more than it may, or holds more than it says, is refused', async () => {
    const builder = buildPacks(repository)
    const node = builder.node([fileOf('a', [chunk(builder, 'content')])])
    const record = recordOf(node, await builder.finish())
    const key = repository.packKey(record.packs[0]?.id ?? '')
    const parts: Uint8Array[] = []
    for await (const part of (await repository.store.get(key))?.body ?? []) parts.push(part)
    for (const rawBytes of [0xffff_ffff, 8 * 1024 * 1024, 1]) {
      const bytes = Buffer.concat(parts)
      bytes.writeUInt32LE(rawBytes, 8 + 4)
      await repository.store.put(key, bytes)
      const saysTooMuch = rawBytes > 8 * 1024 * 1024 ? `it says to hold ${rawBytes} bytes` : ''
      await expect(loadDirectory(repository, record, target, { cacheDirectory: null })).rejects.toMatchObject(
        { code: 'CORRUPT', message: expect.stringContaining(saysTooMuch) },
      )
      expect((await verifyVersion(repository, record)).problems).toHaveLength(1)
    }
  })

  it('is left alone when what else the load depends on fails, or the caller gives up until then', async () => {
    const builder = buildPacks(repository)
    const record = recordOf(builder.node([fileOf('a', [chunk(builder, 'a')])]), await builder.finish())
    for (const directory of [target, join(base, 'absent')]) {
      const failing = Promise.reject(new WorkspaceError('UNAVAILABLE', 'no tags'))
      failing.catch(() => undefined)
      const load = loadDirectory(repository, record, directory, { cacheDirectory: null }, failing)
      await expect(load).rejects.toMatchObject({ code: 'UNAVAILABLE' })
      const controller = new AbortController()
      const givesUp = Promise.withResolvers<void>()
      const onProgress = ({ phase }: LoadProgress): void => {
        if (phase !== 'fetch') return
        setTimeout(() => {
          controller.abort(new Error('enough'))
          givesUp.resolve()
        }, 10)
      }
      const options = { cacheDirectory: null, signal: controller.signal, onProgress }
      const aborted = loadDirectory(repository, record, directory, options, givesUp.promise)
      await expect(aborted).rejects.toThrow('enough')
    }
    expect(readdirSync(base)).toEqual(['target'])
    expect(readdirSync(target)).toEqual(['mine'])
  })

  it('set-uid bits do not come back, and that is reported', async () => {
    const builder = buildPacks(repository)
    const node = builder.node([fileOf('a', [chunk(builder, 'content')], { mode: 0o4755 })])
    const record = recordOf(node, await builder.finish())
    const result = await loadDirectory(repository, record, target, { cacheDirectory: null })
    expect(result.changed).toEqual([{ path: 'a', reason: 'set-uid bit dropped' }])
    expect(listTree(target)['a']?.mode).toBe('755')
    expect((await loadDirectory(repository, record, target, { cacheDirectory: null })).written.files).toBe(0)
  })

  it('is read no further than its limits by readTree', async () => {
    const builder = buildPacks(repository)
    const node = hostile['directories that double 40 times']?.build(builder) ?? ''
    const record = recordOf(node, await builder.finish())
    const read = async (): Promise<void> => {
      for await (const { path } of readTree(repository, record)) expect(path.length).toBeLessThan(200)
    }
    await expect(read()).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
  })
})
