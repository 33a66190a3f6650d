import {
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
  mkdirSync,
  realpathSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { isInstalled, quote, shell } from './shell.ts'

export interface BenchDirectory {
  readonly path: string
  /** The file system under it, in words. */
  readonly fileSystem: string
  remove(): Promise<void>
}

/** Sparse: it takes what is written to it. The heaviest suite has 10 GB four times over. */
const IMAGE_BYTES = 64 * 1024 ** 3

/**
 * A directory to measure in. Creating files after many were deleted is an order of magnitude slower on ext4 without a
 * journal, which drowns every ratio; there an ext4 image with a journal is mounted, if this process may do so.
 */
export async function prepareBenchDirectory(): Promise<BenchDirectory> {
  const base = realpathSync(mkdtempSync(join(process.env['WS_BENCH_DIRECTORY'] ?? tmpdir(), 'ws-bench-')))
  const below = describeFileSystem(base)
  const plain: BenchDirectory = {
    path: base,
    fileSystem: below.isJournaled
      ? below.name
      : `${below.name}; ratios of steps that create many files say little here`,
    remove: async () => rmSync(base, { recursive: true, force: true }),
  }
  if (below.isJournaled || process.getuid?.() !== 0 || !isInstalled('mkfs.ext4', 'mount', 'umount'))
    return plain
  const image = join(base, 'image')
  const path = join(base, 'mounted')
  try {
    writeFileSync(image, '')
    truncateSync(image, IMAGE_BYTES)
    mkdirSync(path)
    await shell(
      `mkfs.ext4 -q -F ${quote(image)} && mount -o loop,discard ${quote(image)} ${quote(path)}`,
      base,
    )
  } catch {
    return plain
  }
  return {
    path,
    fileSystem: `ext4 with a journal, loop-mounted (below it: ${below.name})`,
    async remove() {
      await shell(`umount ${quote(path)} || umount -l ${quote(path)}`, base)
      rmSync(base, { recursive: true, force: true })
    },
  }
}

/** Linux tells in `/proc` what is mounted where and which ext4 has a journal; elsewhere nothing is known. */
function describeFileSystem(path: string): { readonly name: string; readonly isJournaled: boolean } {
  if (!existsSync('/proc/self/mountinfo')) return { name: process.platform, isJournaled: true }
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' '))
    .filter((fields) => {
      const place = fields[4] ?? ' '
      return place === '/' || path === place || path.startsWith(`${place}/`)
    })
    .toSorted((left, right) => (right[4]?.length ?? 0) - (left[4]?.length ?? 0))
  const fields = mounts[0] ?? []
  const separator = fields.indexOf('-')
  const [type = 'unknown', device = ''] = fields.slice(separator + 1, separator + 3)
  if (type !== 'ext4') return { name: type, isJournaled: type !== 'ext2' }
  const isJournaled = existsSync('/proc/fs/jbd2') && existsSync(`/proc/fs/jbd2/${basename(device)}-8`)
  return { name: isJournaled ? 'ext4' : 'ext4 without a journal', isJournaled }
}
