import { Buffer } from 'node:buffer'
import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  closeSync,
  existsSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  statSync,
  symlinkSync,
  writeFileSync,
  writeSync,
  linkSync,
} from 'node:fs'
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync, constants, zstdCompressSync } from 'node:zlib'
import fc from 'fast-check'
import tar from 'tar-stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mount } from '../support/mount.ts'
import { asPlainUser } from '../support/plain-user.ts'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { decompress } from '../../src/bundle/archive/decompress.ts'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import type { CreateBundleOptions } from '../../src/bundle/bundle.ts'
import { makeMessyTree } from './messy-tree.ts'
import { expectSameTree, listTree, withoutTimes } from './tree-listing.ts'
import { directory, file, pax, symlink, tarGz } from './tar-blocks.ts'
import { writeTarHeader } from '../../src/bundle/archive/tar-header.ts'
import { createTarReader } from '../../src/bundle/archive/tar-reader.ts'

let base = ''
let source = ''
let target = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-bundle-'))
  source = join(base, 'source')
  target = join(base, 'target')
  mkdirSync(source)
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

async function collect(directoryPath: string, options?: CreateBundleOptions) {
  const bundle = createBundle(directoryPath, options)
  const chunks: Uint8Array[] = []
  for await (const chunk of bundle) chunks.push(chunk)
  return { bytes: Buffer.concat(chunks), report: bundle.report() }
}

async function untarred(bytes: Buffer): Promise<Buffer> {
  async function* one(): AsyncGenerator<Uint8Array> {
    yield bytes
  }
  const parts: Buffer[] = []
  for await (const part of (await decompress(one())).content) parts.push(Buffer.from(part))
  return Buffer.concat(parts)
}

/** What this process has open below a directory, in any of its threads. */
function openBelow(path: string): string[] {
  const places = readdirSync('/proc/self/fd').map((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`)
    } catch {
      return ''
    }
  })
  return places.filter((place) => place === path || place.startsWith(`${path}/`))
}

const gnuTar = (args: readonly string[], input?: Buffer): Buffer =>
  execFileSync('tar', [...args], { input, maxBuffer: 1 << 28, stdio: ['pipe', 'pipe', 'pipe'] })

describe.each(['tar.zst', 'tar.gz'] as const)('a bundle as %s', (format) => {
  it('brings every kind of entry back as it was', async () => {
    makeMessyTree(source)
    const { bytes, report } = await collect(source, { format })
    expect(report).toMatchObject({
      hardLinks: 2,
      symlinks: 6,
      skipped: [],
      unstable: [],
      excluded: [],
      archiveBytes: bytes.length,
    })
    const extracted = await extractBundle(bytes, target)
    expect(extracted).toMatchObject({
      format,
      files: report.files,
      hardLinks: 2,
      symlinks: 6,
      skipped: [],
      changed: [],
    })
    expectSameTree(listTree(target), listTree(source))
    expect(statSync(target).mtimeMs).toBe(statSync(source).mtimeMs)
    expect(lstatSync(join(target, 'sparse')).blocks).toBeLessThan(1024)
  })

  it.each([
    ['1234567890.654321', 1_234_567_890_654_321n],
    ['1700000000.123456789', 1_700_000_000_123_456n],
    ['1700000000.000001', 1_700_000_000_000_001n],
    ['4294967296.999999', 4_294_967_296_999_999n],
    ['-152391232.876544', -152_391_232_876_544n],
    ['-5.1234567', -5_123_457n],
    ['-0.5', -500_000n],
    ['1700000000', 1_700_000_000_000_000n],
    ['-5', -5_000_000n],
    ['0', 0n],
  ])('brings times back to the microsecond: %s', async (mtime, microseconds) => {
    const time = pax({ mtime })
    const archive = [time, file('file', 'x'), time, symlink('link', 'file'), time, directory('folder/')]
    await extractBundle(tarGz(...archive), target)
    // Once more, by the archive that is made of it.
    await extractBundle(createBundle(target), join(base, 'again'))
    for (const name of ['file', 'link', 'folder'])
      for (const directoryOf of [target, join(base, 'again')]) {
        const { mtimeNs } = lstatSync(join(directoryOf, name), { bigint: true })
        // Of what a file has beyond microseconds nothing is said, but that it is not less.
        expect(mtimeNs - microseconds * 1000n, name).toBeGreaterThanOrEqual(0n)
        expect(mtimeNs - microseconds * 1000n, name).toBeLessThan(mtime.includes('.') ? 1000n : 1n)
      }
  })

  it('is read by GNU tar as the same tree', async () => {
    makeMessyTree(source)
    const { bytes } = await collect(source, { format })
    mkdirSync(target)
    const plain = format === 'tar.gz' ? gunzipSync(bytes) : await untarred(bytes)
    gnuTar(['-xpf', '-', '-C', target], plain)
    expectSameTree(listTree(target), listTree(source))
  })

  it('has the same bytes every time', async () => {
    makeMessyTree(source)
    const [first, second] = [await collect(source, { format }), await collect(source, { format })]
    expect(first.bytes.equals(second.bytes)).toBe(true)
  })
})

describe('what GNU tar writes', () => {
  it.each(['gnu', 'posix', 'ustar', 'v7', 'oldgnu'])(
    'is extracted as GNU tar does, format %s',
    async (format) => {
      makeMessyTree(source)
      if (format === 'ustar' || format === 'v7') {
        execFileSync('rm', [
          '-rf',
          join(source, 'n'.repeat(101)),
          join(source, 'n'.repeat(255)),
          join(source, 'p'.repeat(120)),
          join(source, 'long-link'),
          join(source, 'script'),
        ])
      }
      const archive = gnuTar(['-cf', '-', `--format=${format}`, '-C', source, '.'])
      const theirs = join(base, 'theirs')
      mkdirSync(theirs)
      gnuTar(['-xpf', '-', '-C', theirs], archive)
      await extractBundle(gzipSync(archive), target)
      expectSameTree(listTree(target), listTree(theirs))
    },
  )

  it.each(['gnu', 'posix --sparse-version=0.0', 'posix --sparse-version=0.1', 'posix --sparse-version=1.0'])(
    'is extracted with its holes, sparse format %s',
    async (format) => {
      const fd = openSync(join(source, 'holes'), 'w')
      for (let index = 0; index < 60; index += 1) writeSync(fd, randomBytes(4096), 0, 4096, index * 40 * 4096)
      ftruncateSync(fd, 50 * 1024 ** 2)
      closeSync(fd)
      writeFileSync(join(source, 'after'), 'after')
      const archive = gnuTar(['-cSf', '-', ...`--format=${format}`.split(' '), '-C', source, '.'])
      expect(archive.length).toBeLessThan(1_000_000)
      const theirs = join(base, 'theirs')
      mkdirSync(theirs)
      gnuTar(['-xpf', '-', '-C', theirs], archive)
      await extractBundle(gzipSync(archive), target)
      expectSameTree(listTree(target), listTree(theirs))
      expect(readFileSync(join(target, 'holes')).equals(readFileSync(join(source, 'holes')))).toBe(true)
      expect(lstatSync(join(target, 'holes')).blocks).toBeLessThan(4096)
    },
  )

  it('may be compressed as several frames, skippable frames and long windows', async () => {
    const archive = Buffer.concat([file('a', 'x'.repeat(3_000_000)), Buffer.alloc(1024)])
    const skippable = Buffer.from([0x5a, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3])
    const long = {
      params: { [constants.ZSTD_c_windowLog]: 27, [constants.ZSTD_c_enableLongDistanceMatching]: 1 },
    }
    const bytes = Buffer.concat([
      skippable,
      zstdCompressSync(archive.subarray(0, 1000)),
      skippable,
      zstdCompressSync(archive.subarray(1000), long),
      zstdCompressSync(Buffer.alloc(0)),
    ])
    expect(await extractBundle(bytes, target)).toMatchObject({ files: 1, contentBytes: 3_000_000 })
  })
})

describe('a file of 9 GiB', () => {
  it('has a header that GNU tar and our own reader read alike', () => {
    const size = 9 * 1024 ** 3
    const header = Buffer.alloc(4096)
    const fields = { path: 'nine', type: 'file', mode: 0o644, size, mtimeNs: 0n, linkPath: '' } as const
    const length = writeTarHeader(header, 0, fields)
    const listed = spawnSync('tar', ['-tvf', '-'], { input: header.subarray(0, length), encoding: 'utf8' })
    expect(listed.stdout).toContain(` ${size} `)
    const sizes: number[] = []
    const reader = createTarReader({
      entry: (entry) => sizes.push(entry.size),
      content: () => undefined,
      endOfEntry: () => undefined,
      header: () => undefined,
    })
    reader.push(header.subarray(0, length))
    expect(sizes).toEqual([size])
    expect(() => reader.finish()).toThrow(/cut off/)
  })
})

describe('creating', () => {
  it('lists in tar-stream what went in, in byte order', async () => {
    makeMessyTree(source)
    const { bytes, report } = await collect(source)
    const names: string[] = []
    const extract = tar.extract()
    extract.end(await untarred(bytes))
    for await (const entry of extract) {
      names.push(entry.header.name)
      entry.resume()
    }
    expect(names).toHaveLength(report.files + report.directories + report.symlinks + report.hardLinks)
    expect(names).toContain('src/tmp/venv/kept')
  })

  it('never ships what a link points at', async () => {
    writeFileSync(join(base, 'host-secret'), 'HOST SECRET')
    symlinkSync(join(base, 'host-secret'), join(source, 'leak'))
    symlinkSync(base, join(source, 'leak-directory'))
    const { bytes } = await collect(source)
    expect((await untarred(bytes)).includes('HOST SECRET')).toBe(false)
  })

  it('leaves out only what an anchored pattern names, and lists it', async () => {
    for (const path of ['node_modules/a', 'packages/x/node_modules/b', 'tmp/c', 'src/tmp/d']) {
      mkdirSync(join(source, path), { recursive: true })
      writeFileSync(join(source, path, 'f'), '')
    }
    const { report } = await collect(source, { exclude: ['**/node_modules', 'tmp'] })
    expect(report.excluded).toEqual(['node_modules', 'packages/x/node_modules', 'tmp'])
    expect(report.files).toBe(1)
  })

  it('reports pipes and sockets instead of waiting for them', async () => {
    execFileSync('mkfifo', [join(source, 'pipe')])
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(join(source, 'socket'), resolve))
    try {
      const { report } = await collect(source)
      expect(report.skipped).toEqual([
        { path: 'pipe', reason: 'special-file' },
        { path: 'socket', reason: 'special-file' },
      ])
    } finally {
      await new Promise((resolve) => server.close(resolve))
    }
  })

  it('rejects before the first byte when there is no directory', async () => {
    await expect(collect(join(base, 'absent'))).rejects.toMatchObject({ code: 'NOT_FOUND' })
    writeFileSync(join(base, 'file'), '')
    await expect(collect(join(base, 'file'))).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('refuses options that cannot be used', () => {
    expect(() => createBundle(source, { level: 20 })).toThrow(/1 to 19/)
    expect(() => createBundle(source, { format: 'tar' as 'tar.gz' })).toThrow(/unknown/)
    expect(() => createBundle(source, { exclude: ['/'] })).toThrow(/exclude/)
    expect(() => createBundle(source).report()).toThrow(/read to its end/)
  })

  it('records a file that changes meanwhile with the length of its header', async () => {
    for (let index = 0; index < 40; index += 1)
      writeFileSync(join(source, `a${index}`), Buffer.alloc(400_000, index))
    writeFileSync(join(source, 'z-large'), Buffer.alloc(30_000_000, 1))
    const bundle = createBundle(source)
    const chunks: Uint8Array[] = []
    for await (const chunk of bundle) {
      if (chunks.length === 0) writeFileSync(join(source, 'z-large'), 'short now')
      chunks.push(chunk)
    }
    const report = await extractBundle(Buffer.concat(chunks), target)
    expect(report.files).toBe(41)
    const size = statSync(join(target, 'z-large')).size
    expect(size === 9 || bundle.report().unstable.includes('z-large')).toBe(true)
  })

  it('closes its files when the reader stops early or aborts, in a thread or not', async () => {
    // Much more than is on its way when the reader stops.
    writeFileSync(join(source, 'large'), Buffer.alloc(64 * 1024 * 1024, 1))
    for (const count of [10, 1500]) {
      mkdirSync(join(source, `d${count}`))
      for (let index = 0; index < count; index += 1)
        writeFileSync(join(source, `d${count}/${index}`), Buffer.alloc(9_000, index))
      for await (const chunk of createBundle(source)) {
        expect(chunk.length).toBeGreaterThan(0)
        break
      }
      expect(openBelow(source)).toEqual([])
      const controller = new AbortController()
      const reason = new Error('enough')
      const run = async (): Promise<void> => {
        for await (const chunk of createBundle(source, { signal: controller.signal })) {
          controller.abort(reason)
          expect(chunk.length).toBeGreaterThan(0)
        }
      }
      await expect(run()).rejects.toBe(reason)
      expect(openBelow(source)).toEqual([])
    }
  })

  it('does the same work in a thread', async () => {
    for (let index = 0; index < 1200; index += 1) writeFileSync(join(source, `f${index}`), `content ${index}`)
    const { bytes, report } = await collect(source)
    expect(report.files).toBe(1200)
    await extractBundle(bytes, target)
    expectSameTree(listTree(target), listTree(source))
  })
})

describe('extracting', () => {
  it('leaves nothing of the old content with mode exact and keeps it with merge', async () => {
    mkdirSync(join(target, 'd'), { recursive: true })
    writeFileSync(join(target, 'd/stale'), 'stale')
    const archive = tarGz(directory('d'), file('d/new', 'new'))
    await extractBundle(archive, target, { mode: 'merge' })
    expect(readdirSync(join(target, 'd'))).toEqual(['new', 'stale'])
    await extractBundle(archive, target)
    expect(readdirSync(join(target, 'd'))).toEqual(['new'])
  })

  it('replaces links and files in the way of a merge without following them', async () => {
    const outside = join(base, 'outside')
    mkdirSync(outside)
    mkdirSync(target)
    symlinkSync(outside, join(target, 'd'))
    writeFileSync(join(target, 'e'), 'a file where a directory goes')
    await extractBundle(tarGz(file('d/f', 'new'), file('e/f', 'new')), target, { mode: 'merge' })
    expect(readdirSync(outside)).toEqual([])
    expect(readFileSync(join(target, 'd/f'), 'utf8')).toBe('new')
    expect(readFileSync(join(target, 'e/f'), 'utf8')).toBe('new')
  })

  it('refuses to merge a file over a directory that holds something, before it moves anything', async () => {
    mkdirSync(join(target, 'z/full'), { recursive: true })
    const before = listTree(base)
    await expect(extractBundle(tarGz(file('a'), file('z')), target, { mode: 'merge' })).rejects.toMatchObject(
      { code: 'CONFLICT' },
    )
    expect(withoutTimes(listTree(base))).toEqual(withoutTimes(before))
  })

  it('keeps the directory itself when asked to', async () => {
    mkdirSync(target)
    writeFileSync(join(target, 'old'), '')
    const { ino } = statSync(target)
    await extractBundle(tarGz(file('new')), target, { keepDirectory: true })
    expect(statSync(target).ino).toBe(ino)
    expect(readdirSync(target)).toEqual(['new'])
  })

  it('takes back what it made when it fails, also parents of the directory', async () => {
    const deep = join(base, 'a/b/target')
    await expect(extractBundle(tarGz(file('../x')), deep)).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    expect(readdirSync(base)).toEqual(['source'])
  })

  it('rejects with the reason of an abort, also while the source does not answer', async () => {
    const controller = new AbortController()
    const reason = new Error('stop')
    async function* stuck(): AsyncGenerator<Uint8Array> {
      yield tarGz(file('a')).subarray(0, 20)
      setImmediate(() => controller.abort(reason))
      await new Promise(() => undefined)
    }
    await expect(extractBundle(stuck(), target, { signal: controller.signal })).rejects.toBe(reason)
    expect(readdirSync(base)).toEqual(['source'])
  })

  it('passes on the error of its source', async () => {
    const failure = new Error('connection lost')
    async function* broken(): AsyncGenerator<Uint8Array> {
      yield tarGz(file('a')).subarray(0, 20)
      throw failure
    }
    await expect(extractBundle(broken(), target)).rejects.toBe(failure)
    expect(existsSync(target)).toBe(false)
  })

  it('reports a full disk and leaves the directory as it was', async () => {
    const disk = join(base, 'disk')
    mkdirSync(disk)
    const unmount = mount(disk, '-t', 'tmpfs', '-o', 'size=1m', 'tmpfs')
    try {
      for (const place of [join(disk, 'target'), disk]) {
        mkdirSync(place, { recursive: true })
        writeFileSync(join(place, 'old'), 'old')
        const before = listTree(place)
        await expect(extractBundle(tarGz(file('big', 'x'.repeat(3_000_000))), place)).rejects.toMatchObject({
          code: 'QUOTA_EXCEEDED',
        })
        expect(withoutTimes(listTree(place))).toEqual(withoutTimes(before))
      }
      await extractBundle(tarGz(file('small')), disk)
      expect(readdirSync(disk)).toEqual(['small'])
    } finally {
      unmount()
    }
  })

  it('reports missing permissions, and unreadable files as skipped', async () => {
    writeFileSync(join(source, 'readable'), 'r')
    writeFileSync(join(source, 'unreadable'), 'u', { mode: 0o000 })
    mkdirSync(join(source, 'closed'), { mode: 0o000 })
    mkdirSync(target, { mode: 0o555 })
    const script = join(base, 'child.ts')
    const core = join(import.meta.dirname, '../../src/bundle')
    writeFileSync(
      script,
      `import { createBundle } from ${JSON.stringify(join(core, 'archive/create-bundle.ts'))}
       import { extractBundle } from ${JSON.stringify(join(core, 'archive/extract-bundle.ts'))}
       const bundle = createBundle(process.argv[2]); const chunks = []
       for await (const chunk of bundle) chunks.push(chunk)
       let code = 'none'
       try { await extractBundle(Buffer.concat(chunks), process.argv[3]) } catch (error) { code = error.code }
       console.log(JSON.stringify({ skipped: bundle.report().skipped, code }))`,
    )
    chmodSync(base, 0o555)
    const { command, parameters, user } = asPlainUser(process.execPath, [script, source, target])
    const child = spawnSync(command, parameters, { encoding: 'utf8', ...user })
    chmodSync(base, 0o755)
    expect(JSON.parse(child.stdout)).toEqual({
      skipped: [
        { path: 'closed', reason: 'unreadable' },
        { path: 'unreadable', reason: 'unreadable' },
      ],
      code: 'ACCESS_DENIED',
    })
    expect(readdirSync(target)).toEqual([])
  })
})

describe('mutated archives', () => {
  it('settle, write nothing outside and are all or nothing', async () => {
    writeFileSync(join(source, 'a'), 'a'.repeat(700))
    mkdirSync(join(source, 'd'))
    writeFileSync(join(source, 'd/\u00e9'), 'b')
    symlinkSync('../../x', join(source, 'd/l'))
    linkSync(join(source, 'a'), join(source, 'h'))
    const plain = await untarred((await collect(source)).bytes)
    const sentinel = join(base, 'sentinel')
    mkdirSync(sentinel)
    writeFileSync(join(sentinel, 'old'), 'old')
    const cut = fc.nat({ max: plain.length - 1 })
    const mutation = fc.array(fc.tuple(cut, fc.nat({ max: 255 }), fc.constantFrom('set', 'splice', 'cut')), {
      minLength: 1,
      maxLength: 4,
    })
    await fc.assert(
      fc.asyncProperty(mutation, fc.boolean(), async (mutations, isOuter) => {
        let bytes: Buffer = isOuter ? gzipSync(plain) : Buffer.from(plain)
        for (const [at, value, kind] of mutations) {
          const position = at % bytes.length
          if (kind === 'set') bytes[position] = value
          else if (kind === 'cut') bytes = bytes.subarray(0, Math.max(position, 1))
          else bytes = Buffer.concat([bytes.subarray(0, position), bytes.subarray(Math.floor(position / 2))])
        }
        const place = join(base, 'place')
        mkdirSync(place)
        writeFileSync(join(place, 'old'), 'old')
        const outcome = await extractBundle(isOuter ? bytes : gzipSync(bytes, { level: 1 }), place).then(
          () => 'new',
          (error: { code?: string }) => error.code,
        )
        if (outcome === 'new') expect(existsSync(join(place, 'old'))).toBe(false)
        else {
          expect(readdirSync(place)).toEqual(['old'])
          expect(['CORRUPT', 'INVALID_INPUT', 'UNSAFE_PATH', 'QUOTA_EXCEEDED', 'UNSUPPORTED']).toContain(
            outcome,
          )
        }
        expect(readdirSync(base).sort()).toEqual(['place', 'sentinel', 'source'])
        expect(readdirSync(sentinel)).toEqual(['old'])
        execFileSync('rm', ['-rf', place])
      }),
      { numRuns: 80 },
    )
  })
})
