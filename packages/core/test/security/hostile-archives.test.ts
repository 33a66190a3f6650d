import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { lstatSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync, zstdCompressSync } from 'node:zlib'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { ErrorCode } from '../../src/errors.ts'
import type { ExtractBundleOptions, ExtractReport } from '../../src/bundle/bundle.ts'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import {
  directory,
  endOfArchive,
  file,
  gnuLong,
  hardLink,
  padded,
  pax,
  rawHeader,
  symlink,
  tarGz,
} from '../bundle/tar-blocks.ts'
import { listTree } from '../bundle/tree-listing.ts'

interface Attack {
  readonly name: string
  readonly archive: () => Buffer
  /** A code: the whole archive is refused. A function: it is extracted, and this holds for the result. */
  readonly expected: ErrorCode | ((target: string, report: ExtractReport) => void)
  readonly options?: ExtractBundleOptions
}

let base = ''
let target = ''
const outside = (): string => join(base, 'outside')

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-hostile-'))
  target = join(base, 'dest')
  mkdirSync(outside())
  writeFileSync(join(outside(), 'secret'), 'untouched')
  mkdirSync(join(base, 'dest-evil'))
  mkdirSync(join(target, 'old'), { recursive: true })
  writeFileSync(join(target, 'old', 'kept'), 'old content')
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

/** Some archives take a while to make, and both modes use them. */
const built = new Map<string, Buffer>()
const untrusted: ExtractBundleOptions = { profile: 'untrusted' }
const names = (path: string): string[] => readdirSync(path).sort()
const base256 = (value: bigint): Buffer => {
  const bytes = Buffer.alloc(12)
  let rest = BigInt.asUintN(96, value)
  for (let index = 11; index >= 0; index -= 1) {
    bytes[index] = Number(rest & 255n)
    rest >>= 8n
  }
  bytes[0] = (bytes[0] ?? 0) | 0x80
  return bytes
}
const skippedAs =
  (reason: string, count = 1) =>
  (_: string, report: ExtractReport): void => {
    expect(report.skipped.map((each) => each.reason)).toEqual(Array(count).fill(reason))
  }

const attacks: readonly Attack[] = [
  { name: 't01 a name that goes up', archive: () => tarGz(file('../evil')), expected: 'UNSAFE_PATH' },
  {
    name: 't01b a name that goes up in its middle',
    archive: () => tarGz(file('a/../../evil')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't02 an absolute name',
    archive: () => tarGz(file(join(base, 'outside/evil'))),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't02b a name of many slashes',
    archive: () => tarGz(file(`///${base}/evil`)),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't03 a write through an absolute symlink',
    archive: () => tarGz(symlink('d', outside()), file('d/secret')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't04 a write through a relative symlink',
    archive: () => tarGz(symlink('d', '../outside'), file('d/evil')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't05 a chain of symlinks that climbs',
    archive: () => tarGz(symlink('a', '.'), symlink('a/b', '..'), file('a/b/evil')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't06 a hard link to an absolute path',
    archive: () => tarGz(hardLink('h', join(outside(), 'secret'))),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't07 a hard link that goes up',
    archive: () => tarGz(hardLink('h', '../outside/secret')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't08 a hard link to a symlink, then a file of that name: the file replaces the link',
    archive: () => tarGz(symlink('s', join(outside(), 'secret')), hardLink('h', 's'), file('h', 'mine')),
    expected: (at) => {
      expect(lstatSync(join(at, 'h')).isFile()).toBe(true)
      expect(readFileSync(join(at, 'h'), 'utf8')).toBe('mine')
    },
  },
  {
    name: 't09 a directory that becomes a symlink',
    archive: () => tarGz(directory('d'), symlink('d', outside()), file('d/secret')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't10 a name that differs by a trailing backslash is another name',
    archive: () => tarGz(directory('d'), symlink('d\\', outside()), file('d/x')),
    expected: (at) => expect(lstatSync(join(at, 'd')).isDirectory()).toBe(true),
  },
  {
    name: 't10b the same, of unknown origin',
    archive: () => tarGz(file('d\\x')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 't11 a PAX path that goes up',
    archive: () => tarGz(pax({ path: '../evil' }), file('ok')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't12 a PAX link path of a hard link',
    archive: () => tarGz(pax({ linkpath: '../outside/secret' }), hardLink('h', 'ok')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't13 a PAX size before a GNU long name',
    archive: () => tarGz(pax({ size: '2048' }), gnuLong('L', 'long'), file('ok')),
    expected: 'CORRUPT',
  },
  {
    name: 't14 a PAX size that hides a header in content',
    archive: () => tarGz(pax({ size: '1024' }), rawHeader({ name: 'a', size: 0 }), file('../evil', '')),
    expected: 'CORRUPT',
  },
  {
    name: 't14b a PAX size before a volume label, which other readers skip content for',
    archive: () => tarGz(pax({ size: '512' }), rawHeader({ name: 'label', type: 'V' }), file('hidden', '')),
    expected: 'CORRUPT',
  },
  {
    name: 't15 a header in the content of a file stays content',
    archive: () =>
      tarGz(pax({ size: '512' }), rawHeader({ name: 'a', size: 0 }), rawHeader({ name: '../evil' })),
    expected: (at) => expect(names(at)).toEqual(['a']),
  },
  {
    name: 't16 a NUL in a PAX path',
    archive: () => tarGz(pax({ path: 'a\0/../../evil' }), file('ok')),
    expected: 'CORRUPT',
  },
  {
    name: 't17 a negative size',
    archive: () => tarGz(rawHeader({ name: 'a', size: base256(-1024n) })),
    expected: 'CORRUPT',
  },
  {
    name: 't18 a size of 2^62',
    archive: () => tarGz(rawHeader({ name: 'a', size: base256(2n ** 62n) })),
    expected: 'CORRUPT',
  },
  {
    name: 't18b a size over the limit',
    archive: () => tarGz(rawHeader({ name: 'a', size: base256(2n ** 50n) })),
    expected: 'QUOTA_EXCEEDED',
  },
  {
    name: 't19 a global PAX path',
    archive: () => tarGz(pax({ path: '../evil' }, 'g'), file('ok')),
    expected: 'CORRUPT',
  },
  {
    name: 't20 pipes and devices',
    archive: () => tarGz(...['3', '4', '6'].map((type) => rawHeader({ name: `n${type}`, type }))),
    expected: skippedAs('special-file', 3),
  },
  {
    name: 't21 set-uid, set-gid and sticky bits',
    archive: () => tarGz(file('s', 'x', { mode: 0o7755 }), directory('t', { mode: 0o1777 })),
    expected: (at, report) => {
      expect((lstatSync(join(at, 's')).mode & 0o7777).toString(8)).toBe('755')
      expect((lstatSync(join(at, 't')).mode & 0o7777).toString(8)).toBe('777')
      expect(report.changed.map(({ path }) => path)).toEqual(['s', 't'])
    },
  },
  {
    name: 't22 a name twice: the later file replaces the earlier, hard links keep the earlier content',
    archive: () => tarGz(file('a', 'one'), hardLink('h', 'a'), file('a', 'two')),
    expected: (at, report) => {
      expect(readFileSync(join(at, 'a'), 'utf8')).toBe('two')
      expect(readFileSync(join(at, 'h'), 'utf8')).toBe('one')
      expect(report.files).toBe(1)
    },
  },
  {
    name: 't22b a name twice, of unknown origin',
    archive: () => tarGz(file('a'), file('a')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 't23 names that differ in case, of unknown origin',
    archive: () => tarGz(file('Readme'), file('README')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 't23b names that differ in case are two files where the file system says so',
    archive: () => tarGz(file('a'), file('A')),
    expected: (at) => expect(names(at)).toEqual(['A', 'a']),
  },
  {
    name: 't24 NFC and NFD, of unknown origin',
    archive: () => tarGz(file('\u00e9'), file('e\u0301')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 't24b sharp s and ss, of unknown origin',
    archive: () => tarGz(file('stra\u00dfe'), file('STRASSE')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 't25 a file that becomes a directory',
    archive: () => tarGz(file('a'), directory('a/')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't25b a file with something below it',
    archive: () => tarGz(file('a'), file('a/b')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't26 a directory that becomes a file',
    archive: () => tarGz(directory('a/'), file('a')),
    expected: 'UNSAFE_PATH',
  },
  ...['CON', 'aux.txt', 'f:ads', 'x.', 'b ', 'C:/evil', 'C:../evil', 'COM\u00b9'].map((name): Attack => ({
    name: `t27 the Windows name ${name}, of unknown origin`,
    archive: () => tarGz(file(name)),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  })),
  {
    name: 't28 a symlink to a drive is only text',
    archive: () => tarGz(symlink('l', 'C:..\\..\\t')),
    expected: (at) => expect(lstatSync(join(at, 'l')).isSymbolicLink()).toBe(true),
  },
  {
    name: 't28b links of unknown origin',
    archive: () => tarGz(symlink('l', '/etc'), file('a'), hardLink('h', 'a')),
    expected: skippedAs('link', 2),
    options: untrusted,
  },
  {
    name: 't29 directories so deep that their path is longer than the system takes',
    archive: () => tarGz(pax({ path: `${'d/'.repeat(2100)}f` }), file('f', 'deep')),
    expected: (_, report) => expect(report).toMatchObject({ files: 1, directories: 0 }),
  },
  {
    name: 't29b five thousand levels',
    archive: () => tarGz(pax({ path: `${'d/'.repeat(5000)}f` }), file('f')),
    expected: 'QUOTA_EXCEEDED',
  },
  {
    name: 't30 a name of 2 MB',
    archive: () => tarGz(gnuLong('L', 'n/'.repeat(1_000_000)), file('f')),
    expected: 'QUOTA_EXCEEDED',
  },
  {
    name: 't30b a part of a name of 300 bytes',
    archive: () => tarGz(pax({ path: 'n'.repeat(300) }), file('f')),
    expected: 'UNSUPPORTED',
  },
  {
    name: 't31 a sparse map that leaves its file',
    archive: () =>
      tarGz(pax({ 'GNU.sparse.size': '10', 'GNU.sparse.map': '9223372036854775,4' }), file('f', 'evil')),
    expected: 'CORRUPT',
  },
  {
    name: 't31b a sparse map with other content than the archive has',
    archive: () => tarGz(pax({ 'GNU.sparse.size': '100', 'GNU.sparse.map': '0,90' }), file('f', 'evil')),
    expected: 'CORRUPT',
  },
  {
    name: 't32 an unknown type',
    archive: () => tarGz(rawHeader({ name: 'a', type: 'Z' })),
    expected: 'UNSUPPORTED',
  },
  { name: 't33 no end blocks', archive: () => gzipSync(file('a')), expected: 'CORRUPT' },
  {
    name: 't33b one end block',
    archive: () => gzipSync(Buffer.concat([file('a'), Buffer.alloc(512)])),
    expected: 'CORRUPT',
  },
  {
    name: 't34 entries after the end',
    archive: () => tarGz(file('a'), endOfArchive, file('evil')),
    expected: 'CORRUPT',
  },
  {
    name: 't34b an end block between entries',
    archive: () => tarGz(file('a'), Buffer.alloc(512), file('evil')),
    expected: 'CORRUPT',
  },
  {
    name: 't35 a wrong checksum',
    archive: () => tarGz(file('a'), file('b', 'x', { breakChecksum: true })),
    expected: 'CORRUPT',
  },
  {
    name: 't36 a loop of symlinks is only text',
    archive: () => tarGz(symlink('a', 'b'), symlink('b', 'a')),
    expected: (at) => expect(names(at)).toEqual(['a', 'b']),
  },
  {
    name: 't37 mode 000 on the directory itself leaves it open to its owner',
    archive: () => tarGz(directory('./', { mode: 0 }), file('a')),
    expected: (at, report) => {
      expect((lstatSync(at).mode & 0o777).toString(8)).toBe('700')
      expect(report.changed.map(({ path }) => path)).toEqual(['.'])
    },
  },
  { name: 't38 an empty name', archive: () => tarGz(file('')), expected: 'UNSAFE_PATH' },
  {
    name: 't38b a file in place of the directory itself',
    archive: () => tarGz(file('.')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't39 a .git directory, of unknown origin',
    archive: () => tarGz(file('.GIT/config'), file('git~1/config'), file('ok/.git\u200c/hooks')),
    expected: skippedAs('git-directory', 3),
    options: untrusted,
  },
  {
    name: 't40 a hard link before its file',
    archive: () => tarGz(hardLink('h', 'a'), file('a')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't41 a file that becomes a symlink that becomes a file',
    archive: () => tarGz(file('a', 'one'), symlink('a', join(outside(), 'secret')), file('a', 'two')),
    expected: (at) => {
      expect(lstatSync(join(at, 'a')).isFile()).toBe(true)
      expect(readFileSync(join(at, 'a'), 'utf8')).toBe('two')
    },
  },
  {
    name: 't42 a sibling with the same beginning',
    archive: () => tarGz(file('../dest-evil/evil')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 't43 a cut archive',
    archive: () => tarGz(file('a', 'x'.repeat(5000))).subarray(0, -20),
    expected: 'CORRUPT',
  },
  {
    name: 't43b a cut tar in whole gzip',
    archive: () => gzipSync(file('a', 'x'.repeat(5000)).subarray(0, 3000)),
    expected: 'CORRUPT',
  },
  {
    name: 't44 a gzip bomb of 200 MB, of unknown origin',
    archive: () =>
      gzipSync(
        Buffer.concat([rawHeader({ name: 'z', size: 200 * 1024 ** 2 }), Buffer.alloc(200 * 1024 ** 2)]),
      ),
    expected: 'QUOTA_EXCEEDED',
    options: { profile: 'untrusted', limits: { maxRatio: 100 } },
  },
  {
    name: 't44b a zstd bomb against the limit on content',
    archive: () =>
      zstdCompressSync(
        Buffer.concat([rawHeader({ name: 'z', size: 64 * 1024 ** 2 }), Buffer.alloc(64 * 1024 ** 2)]),
      ),
    expected: 'QUOTA_EXCEEDED',
    options: { limits: { maxContentBytes: 1024 ** 2 } },
  },
  {
    name: 't44c a zstd bomb in what comes after the end, of unknown origin',
    archive: () => zstdCompressSync(Buffer.concat([file('a'), Buffer.alloc(64 * 1024 ** 2)])),
    expected: 'QUOTA_EXCEEDED',
    options: untrusted,
  },
  {
    name: 't45 several gzip members are one archive',
    archive: () => Buffer.concat([gzipSync(file('a')), gzipSync(file('b')), gzipSync(endOfArchive)]),
    expected: (at) => expect(names(at)).toEqual(['a', 'b']),
  },
  {
    name: 't46 garbage after the gzip',
    archive: () => Buffer.concat([tarGz(file('a')), Buffer.from('garbage')]),
    expected: 'CORRUPT',
  },
  {
    name: 't46b garbage after the gzip that starts with a NUL',
    archive: () => Buffer.concat([tarGz(file('a')), Buffer.from('\0evil')]),
    expected: 'CORRUPT',
  },
  {
    name: 'a chain of long symlinks past PATH_MAX',
    archive: () => {
      const long = 'd'.repeat(200)
      const parts: Buffer[] = []
      let path = ''
      for (const step of 'abcdefghijklmnop') {
        parts.push(
          pax({ path: `${path}${long}` }),
          directory('d/'),
          pax({ path: `${path}${step}`, linkpath: long }),
          symlink(step, 'x'),
        )
        path += `${step}/`
      }
      return tarGz(...parts, symlink(`${path}up`, '../'.repeat(16)), file(`${path}up/evil`))
    },
    expected: 'UNSAFE_PATH',
  },
  {
    name: 'a hundred thousand PAX headers in a row',
    archive: () => tarGz(...Array<Buffer>(100_000).fill(pax({ comment: 'x' })), file('a')),
    expected: 'CORRUPT',
  },
  {
    name: 'a hundred thousand global headers',
    archive: () => tarGz(...Array<Buffer>(100_000).fill(pax({ comment: 'x' }, 'g')), file('a')),
    expected: 'QUOTA_EXCEEDED',
    options: { limits: { maxEntries: 1000 } },
  },
  {
    name: 'a PAX record that says it is longer',
    archive: () => tarGz(pax('99 path=../evil\n'), file('a')),
    expected: 'CORRUPT',
  },
  {
    name: 'a PAX record that says it is shorter',
    archive: () => tarGz(pax('8 path=../evil\n'), file('a')),
    expected: 'CORRUPT',
  },
  { name: 'a PAX record of length 0', archive: () => tarGz(pax('0 a=b\n'), file('a')), expected: 'CORRUPT' },
  {
    name: 'a PAX key twice',
    archive: () => tarGz(pax('9 path=a\n9 path=b\n'), file('a')),
    expected: 'CORRUPT',
  },
  {
    name: 'a PAX size that is not a number',
    archive: () => tarGz(pax({ size: '1e9' }), file('a')),
    expected: 'CORRUPT',
  },
  {
    name: 'octal junk in the size',
    archive: () => tarGz(rawHeader({ name: 'a', size: Buffer.from('00000x00000\0') })),
    expected: 'CORRUPT',
  },
  { name: 'a hard link to itself', archive: () => tarGz(hardLink('a', 'a')), expected: 'UNSAFE_PATH' },
  {
    name: 'a hard link to a directory',
    archive: () => tarGz(directory('d'), hardLink('h', 'd')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 'a symlink with content',
    archive: () =>
      tarGz(rawHeader({ name: 'l', type: '2', linkName: 'x', size: 512 }), rawHeader({ name: '../evil' })),
    expected: 'CORRUPT',
  },
  {
    name: 'a directory with content',
    archive: () => tarGz(directory('d', { size: 512 }), Buffer.alloc(512, 1)),
    expected: 'CORRUPT',
  },
  {
    name: 'a million entries against the limit',
    archive: () => {
      const one = file('a', '')
      return gzipSync(Buffer.concat(Array<Buffer>(200_000).fill(one)), { level: 1 })
    },
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 'more entries than allowed',
    archive: () => tarGz(...Array.from({ length: 60 }, (_, index) => file(`f${index}`, ''))),
    expected: 'QUOTA_EXCEEDED',
    options: { limits: { maxEntries: 50 } },
  },
  {
    name: 'control characters, of unknown origin',
    archive: () => tarGz(file('a\nb')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 'a change of text direction, of unknown origin',
    archive: () => tarGz(file('a\u202egpj.exe')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 'a name that is not UTF-8, of unknown origin',
    archive: () => tarGz(rawHeader({ name: Buffer.from([0x61, 0xff]) })),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 'an archive over the limit',
    archive: () => tarGz(file('a', 'x')),
    expected: 'QUOTA_EXCEEDED',
    options: { limits: { maxArchiveBytes: 10 } },
  },
  {
    name: 'a file over the limit',
    archive: () => tarGz(file('a', 'xx')),
    expected: 'QUOTA_EXCEEDED',
    options: { limits: { maxFileBytes: 1 } },
  },
  {
    name: 'a file below a pipe that is left out',
    archive: () => tarGz(rawHeader({ name: 'p', type: '6' }), file('p/x')),
    expected: 'UNSAFE_PATH',
  },
  {
    name: 'directories that differ in case and are only implied, of unknown origin',
    archive: () => tarGz(file('d/x'), file('D/y')),
    expected: 'UNSAFE_PATH',
    options: untrusted,
  },
  {
    name: 'a name longer than any header may be',
    archive: () => tarGz(rawHeader({ name: 'name', type: 'L', size: 2 ** 21 })),
    expected: 'QUOTA_EXCEEDED',
  },
  {
    name: 'two names for one entry, by GNU and by PAX',
    archive: () => tarGz(gnuLong('L', 'one'), pax({ path: 'two' }), file('ok')),
    expected: 'CORRUPT',
  },
  {
    name: 'two names for one entry, by PAX and by GNU',
    archive: () => tarGz(pax({ path: 'two' }), gnuLong('L', 'one'), file('ok')),
    expected: 'CORRUPT',
  },
  { name: 'nothing at all', archive: () => Buffer.alloc(0), expected: 'INVALID_INPUT' },
  { name: 'one byte', archive: () => Buffer.from([0x1f]), expected: 'INVALID_INPUT' },
  { name: 'a zip file', archive: () => Buffer.from('PK\u0003\u0004and so on'), expected: 'INVALID_INPUT' },
  {
    name: 'a tar without compression',
    archive: () => Buffer.concat([file('a'), endOfArchive]),
    expected: 'INVALID_INPUT',
  },
  {
    name: 'gzip of something else',
    archive: () => gzipSync(padded('not a tar '.repeat(200))),
    expected: 'INVALID_INPUT',
  },
  {
    name: 'zstd of something else',
    archive: () => zstdCompressSync(Buffer.alloc(4096, 7)),
    expected: 'INVALID_INPUT',
  },
  { name: 'gzip of nothing', archive: () => gzipSync(''), expected: 'CORRUPT' },
]

describe.each(['exact', 'merge'] as const)('a hostile archive, extracted with mode %s', (mode) => {
  it.each(attacks)('$name', async ({ name, archive, expected, options }) => {
    const bytes = built.get(name) ?? archive()
    built.set(name, bytes)
    const before = listTree(base)
    const outcome = await extractBundle(bytes, target, { ...options, mode }).then(
      (report) => ({ report, error: null }),
      (error: unknown) => ({ report: null, error }),
    )
    if (typeof expected === 'string') {
      expect(outcome.error).toMatchObject({ name: 'WorkspaceError', code: expected })
      expect(withoutOwnTime(listTree(base))).toEqual(withoutOwnTime(before))
    } else {
      expect(outcome.error).toBeNull()
      if (outcome.report !== null && mode === 'exact') expected(target, outcome.report)
    }
    expect(readdirSync(target).filter((name) => name.startsWith('.ws-'))).toEqual([])
    const isOutside = ([path]: [string, unknown]): boolean => path !== 'dest' && !path.startsWith('dest/')
    expect(Object.entries(shallowTree(base)).filter(isOutside)).toEqual(
      Object.entries(before).filter(isOutside),
    )
    expect(names(base)).toEqual(['dest', 'dest-evil', 'outside'])
  })
})

/** The very deep tree of one attack is longer than paths may be, so only what lies beside the target is listed. */
function shallowTree(root: string): ReturnType<typeof listTree> {
  execFileSync('rm', ['-rf', target])
  const listed = listTree(root)
  mkdirSync(target)
  return listed
}

function withoutOwnTime(tree: ReturnType<typeof listTree>): unknown {
  return Object.entries(tree).map(([path, entry]) => [
    path,
    { ...entry, mtimeUs: path === 'dest' ? 0 : entry.mtimeUs },
  ])
}
