import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '@ws/store-memory'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import { openRepository, type Repository } from '../../../src/bundle/engine/repository/repository.ts'
import type { LoadDirectoryOptions } from '../../../src/bundle/engine/load/load-options.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { makeMessyTree } from '../messy-tree.ts'
import { listTree } from '../tree-listing.ts'
import { storeTree } from './store-tree.ts'

let base = ''
let source = ''
let target = ''
let repository: Repository

beforeEach(async () => {
  base = mkdtempSync(join(tmpdir(), 'ws-load-'))
  source = join(base, 'source')
  target = join(base, 'target')
  mkdirSync(source)
  repository = await openRepository(memoryStore())
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

const load = (record: VersionRecord, options: Partial<LoadDirectoryOptions> = {}) =>
  loadDirectory(repository, record, target, { cacheDirectory: null, ...options })

describe('loading into an absent or empty directory', () => {
  it('brings back everything about a messy tree', async () => {
    makeMessyTree(source)
    const record = await storeTree(repository, source)
    await load(record)
    expect(listTree(target)).toEqual(listTree(source))
    expect(statSync(target).mode & 0o7777).toBe(record.root.mode)
    expect(statSync(join(target, 'sparse')).blocks * 512).toBeLessThan(200_000)
    mkdirSync(join(base, 'empty'))
    await loadDirectory(repository, record, join(base, 'empty'), { cacheDirectory: null })
    expect(listTree(join(base, 'empty'))).toEqual(listTree(source))
    expect(readdirSync(base).sort()).toEqual(['empty', 'source', 'target'])
  })
})

describe('loading from an encrypted store', () => {
  it('brings back everything, into an absent directory and over a full one, and with the key only', async () => {
    const store = memoryStore()
    repository = await openRepository(store, { encryption: { key: Buffer.alloc(32, 7) } })
    makeMessyTree(source)
    const record = await storeTree(repository, source)
    await load(record)
    expect(listTree(target)).toEqual(listTree(source))
    appendFileSync(join(target, 'large'), 'more')
    unlinkSync(join(target, 'script'))
    writeFileSync(join(target, 'extra'), 'mine')
    const result = await load(record)
    // One of them has two names.
    expect(result).toMatchObject({ written: { files: 3 }, deleted: { files: 1 } })
    expect(listTree(target)).toEqual(listTree(source))
    await expect(openRepository(store, { encryption: { key: Buffer.alloc(32, 8) } })).rejects.toMatchObject({
      code: 'ACCESS_DENIED',
    })
    const plain = await openRepository(memoryStore())
    const withoutKey = { ...repository, keys: plain.keys }
    await expect(
      loadDirectory(withoutKey, record, join(base, 'other'), { cacheDirectory: null }),
    ).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(readdirSync(base).sort()).toEqual(['source', 'target'])
  })
})

describe('loading over a full directory', () => {
  it('changes nothing when it has the content already', async () => {
    makeMessyTree(source)
    const record = await storeTree(repository, source)
    await load(record)
    const before = lstatSync(join(target, 'src/tmp/venv/kept'), { bigint: true })
    const result = await load(record)
    expect(result).toMatchObject({
      written: { files: 0, bytes: 0 },
      deleted: { files: 0, bytes: 0 },
      fieldsChanged: 0,
    })
    expect(result.kept.files).toBe(record.stats.files + record.stats.symlinks)
    expect(lstatSync(join(target, 'src/tmp/venv/kept'), { bigint: true }).ctimeNs).toBe(before.ctimeNs)
  })

  it('makes exactly the version out of a directory that differs in every way', async () => {
    makeMessyTree(source)
    const record = await storeTree(repository, source)
    await load(record)
    appendFileSync(join(target, 'large'), 'more')
    writeFileSync(join(target, 'block'), 'y'.repeat(512))
    chmodSync(join(target, 'private'), 0o644)
    utimesSync(join(target, 'script'), 1, 1)
    unlinkSync(join(target, 'a b'))
    rmSync(join(target, 'src/tmp'), { recursive: true })
    writeFileSync(join(target, 'src/tmp'), 'a file now')
    unlinkSync(join(target, 'zero'))
    mkdirSync(join(target, 'zero'))
    writeFileSync(join(target, 'zero/inside'), '1')
    unlinkSync(join(target, 'loop'))
    symlinkSync('elsewhere', join(target, 'loop'))
    mkdirSync(join(target, 'extra/deep'), { recursive: true })
    writeFileSync(join(target, 'extra/deep/file'), '12345')
    unlinkSync(join(target, 'everybody'))
    linkSync(join(target, 'closed'), join(target, 'everybody'))
    chmodSync(target, 0o700)
    const result = await load(record)
    expect(listTree(target)).toEqual(listTree(source))
    expect(result.deleted).toEqual({ files: 2, bytes: 6 })
    expect(readdirSync(base).sort()).toEqual(['source', 'target'])
  })

  it('merging leaves what the version does not have', async () => {
    writeFileSync(join(source, 'a'), 'new')
    const record = await storeTree(repository, source)
    mkdirSync(target)
    writeFileSync(join(target, 'a'), 'old')
    writeFileSync(join(target, 'b'), 'mine')
    const result = await load(record, { mode: 'merge' })
    expect(readFileSync(join(target, 'a'), 'utf8')).toBe('new')
    expect(readFileSync(join(target, 'b'), 'utf8')).toBe('mine')
    expect(result).toMatchObject({ written: { files: 1, bytes: 3 }, deleted: { files: 0, bytes: 0 } })
  })
})
