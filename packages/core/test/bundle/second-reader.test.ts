import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { checkBundle, extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { createSecondReader } from '../../src/bundle/archive/second-reader.ts'
import { createTarReader } from '../../src/bundle/archive/tar-reader.ts'
import { makeMessyTree } from './messy-tree.ts'
import {
  directory,
  endOfArchive,
  file,
  hardLink,
  padded,
  pax,
  rawHeader,
  symlink,
  tarGz,
} from './tar-blocks.ts'

let base = ''
let source = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-second-'))
  source = join(base, 'source')
  mkdirSync(source)
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

const gnuTar = (...args: string[]): Buffer =>
  execFileSync('tar', ['-cf', '-', ...args, '-C', source, '.'], { maxBuffer: 1 << 28, stdio: 'pipe' })

/** Gives one archive to our own reader and another one to the second, in pieces of the given length. */
async function readBoth(ours: Buffer, theirs: Buffer, pieceBytes: number): Promise<number> {
  const second = createSecondReader()
  let found = 0
  const reader = createTarReader({
    header: () => undefined,
    entry(entry) {
      found += 1
      second.found(entry)
    },
    content: () => undefined,
    endOfEntry: () => undefined,
  })
  try {
    for (let offset = 0; offset < Math.max(ours.length, theirs.length); offset += pieceBytes) {
      reader.push(ours.subarray(offset, offset + pieceBytes))
      await second.push(theirs.subarray(offset, offset + pieceBytes))
    }
    reader.finish()
    await second.finish()
    return found
  } finally {
    second.close()
  }
}

const disagrees = { code: 'CORRUPT', message: expect.stringContaining('two readers disagree') as string }

describe('two readers agree', () => {
  it('about a bundle of everything, in pieces of any length', async () => {
    makeMessyTree(source)
    const archive = gnuTar('--format=posix')
    for (const pieceBytes of [4095, 100_003]) {
      expect(await readBoth(archive, archive, pieceBytes)).toBeGreaterThan(20)
    }
    const chunks: Uint8Array[] = []
    for await (const chunk of createBundle(source)) chunks.push(chunk)
    expect(await checkBundle(Buffer.concat(chunks))).toMatchObject({ hardLinks: 2, symlinks: 6 })
  })

  it.each(['gnu', 'oldgnu', 'posix'])('about what GNU tar writes in the format %s', async (format) => {
    makeMessyTree(source)
    const archive = gnuTar(`--format=${format}`, '--label=a volume')
    expect(await checkBundle(gzipSync(archive))).toMatchObject({ hardLinks: 2, symlinks: 6 })
  })

  it.each(['ustar', 'v7'])('about what GNU tar writes in the format %s', async (format) => {
    mkdirSync(join(source, 'd'.repeat(60), 'empty'), { recursive: true })
    writeFileSync(join(source, 'd'.repeat(60), 'f'), 'content')
    writeFileSync(join(source, 'caf\u00e9'), '')
    linkSync(join(source, 'caf\u00e9'), join(source, 'name'))
    const report = await checkBundle(gzipSync(gnuTar(`--format=${format}`)))
    expect(report).toMatchObject({ files: 2, directories: 3, hardLinks: 1 })
  })

  it.each(['gnu', 'posix --sparse-version=0.0', 'posix --sparse-version=0.1', 'posix --sparse-version=1.0'])(
    'or do not compare sparse files, format %s',
    async (format) => {
      for (const name of ['a', 'm', 'z']) writeFileSync(join(source, name), name)
      truncateSync(join(source, 'a'), 1_000_000)
      writeFileSync(join(source, 'm'), 'x'.repeat(4096).concat('\0'.repeat(100_000)).repeat(60))
      execFileSync('fallocate', ['--dig-holes', join(source, 'm')])
      const archive = gnuTar('-S', ...`--format=${format}`.split(' '), '--sort=name')
      expect(archive.length).toBeLessThan(1_500_000)
      expect(await checkBundle(gzipSync(archive))).toMatchObject({ files: 3 })
      expect(await readBoth(archive, archive, 700)).toBe(4)
    },
  )
})

describe('an archive is refused when the second reader finds', () => {
  const common = [directory('d/'), file('d/a', 'one'), symlink('l', 'd/a'), hardLink('h', 'd/a')]
  const archive = (...parts: Buffer[]): Buffer => Buffer.concat([...common, ...parts, endOfArchive])
  const ours = archive(file('z', 'zz'))
  const others: Record<string, Buffer> = {
    'another name': archive(file('y', 'zz')),
    'another size': archive(file('z', 'z')),
    'another type': archive(rawHeader({ name: 'z', type: '6' }), Buffer.alloc(512)),
    'another link': Buffer.concat([...common.slice(0, 2), symlink('l', 'd/b')]),
    'another hard link': Buffer.concat([...common.slice(0, 3), hardLink('h', 'd/b')]),
    'one entry less': archive(),
    'one entry more': archive(file('z', 'zz'), file('hidden')),
  }

  it.each(Object.keys(others))('%s', async (name) => {
    await expect(readBoth(ours, others[name] ?? Buffer.alloc(0), 1 << 20)).rejects.toMatchObject(disagrees)
    expect(await readBoth(ours, ours, 1 << 20)).toBe(5)
  })

  it('damage', async () => {
    const damaged = Buffer.from(ours)
    damaged[512] = 0x41
    await expect(readBoth(ours, damaged, 1 << 20)).rejects.toMatchObject({
      code: 'CORRUPT',
      message: expect.stringContaining('another reader cannot read it') as string,
      cause: expect.any(Error) as Error,
    })
    await expect(readBoth(ours, ours.subarray(0, 1200), 600)).rejects.toMatchObject({ code: 'CORRUPT' })
  })
})

describe('the second reader', () => {
  it('is asked by checkBundle, for uploads and for archives of unknown origin, and else when asked for', async () => {
    // After a PAX header without records, tar-stream takes the next file's padding for as long as its content: what one
    // program reads as the header of "c" is content to the other.
    const target = join(base, 'target')
    const bytes = tarGz(rawHeader({ name: 'pax', type: 'x' }), file('b', 'x'.repeat(700)), file('c'))
    await expect(checkBundle(bytes)).rejects.toMatchObject({ code: 'CORRUPT' })
    await expect(extractBundle(bytes, target, { profile: 'untrusted' })).rejects.toMatchObject({
      code: 'CORRUPT',
    })
    await expect(extractBundle(bytes, target, { secondReader: true })).rejects.toMatchObject({
      code: 'CORRUPT',
    })
    const versions = createBundleStore(memoryStore())
    await expect(versions.upload('w', bytes)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(await versions.exists('w')).toBe(false)
    expect(await extractBundle(bytes, target)).toMatchObject({ files: 2 })
    expect(await checkBundle(bytes, { secondReader: false })).toMatchObject({ files: 2 })
  })

  it('keeps no content: a long header and a large file pass through it', async () => {
    const long = 'n/'.repeat(300)
    const parts = [pax({ path: `${long}f`, comment: 'c'.repeat(600_000) }), file('f', 'x'), file('g', 'y')]
    const big = Buffer.concat([
      rawHeader({ name: 'big', size: 6_000_000 }),
      padded(Buffer.alloc(6_000_000, 7)),
      ...parts,
      endOfArchive,
    ])
    for (const pieceBytes of [128 * 1024, 5000]) expect(await readBoth(big, big, pieceBytes)).toBe(3)
  })
})
