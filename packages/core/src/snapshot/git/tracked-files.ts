import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { isLink } from './build-trees.ts'
import { splitRecords, type BytePath } from './byte-path.ts'
import { isSettled, type FileStamp } from './file-stamp.ts'
import { runGit } from './git-command.ts'
import { lstatOrNull } from './file-stamp.ts'
import { readUserIndex, type IndexEntry } from './user-index.ts'
import type { UserRepository } from './repository-layout.ts'

/** What the user's index knows about the workspace's files. */
export interface TrackedFiles {
  readonly entries: ReadonlyMap<BytePath, IndexEntry>
  /** Trees that git may have made of them. */
  readonly trees: readonly string[]
  /** Whether the file is the one that the index was written for, by all that the index knows of it. */
  hasSameStamp(entry: IndexEntry, stamp: FileStamp): boolean
  /** The same, and it cannot have changed since without a new stamp. */
  isUntouched(entry: IndexEntry, stamp: FileStamp): boolean
}

/** Changes whenever the index does; empty when it changed a moment ago. */
export function readIndexStamp(repository: UserRepository): string {
  const stats = lstatOrNull(repository.indexFile)
  if (stats === null) return '-'
  if (!isSettled(stats, BigInt(Date.now()) * 1_000_000n)) return ''
  return `${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}

/** Other repositories (gitlinks) are left out. Paths are relative to the workspace. */
export async function readTrackedFiles(
  repository: UserRepository,
  signal?: AbortSignal,
): Promise<TrackedFiles> {
  const writtenAtNs = lstatOrNull(repository.indexFile)?.mtimeNs ?? 0n
  const index = (await readUserIndex(repository.indexFile, repository.format)) ?? {
    entries: await listTrackedFiles(repository, signal),
    trees: [],
  }
  const entries = new Map<BytePath, IndexEntry>()
  for (const entry of index.entries) {
    if (entry.mode === GITLINK || !entry.path.startsWith(repository.prefix)) continue
    entries.set(entry.path.slice(repository.prefix.length), entry)
  }
  // git itself compares whole seconds and misses what changes within one (an edit that restores the old time, say).
  const hasSameStamp: TrackedFiles['hasSameStamp'] = (entry, stamp) =>
    entry.mtimeNs === stamp.mtimeNs &&
    entry.ctimeNs === stamp.ctimeNs &&
    entry.size === stamp.size % 2 ** 32 &&
    entry.inode === Number(stamp.inode) >>> 0 &&
    (entry.mode === LINK) === isLink(stamp.mode)
  return {
    entries,
    trees: index.trees,
    hasSameStamp,
    isUntouched: (entry, stamp) => hasSameStamp(entry, stamp) && isSettled(stamp, writtenAtNs),
  }
}

/**
 * Whether files may have gone through a program or another encoding on their way into the index, so that the blobs
 * named there are not what is in the directory. Line endings need no look: converting them changes the size.
 */
export function mayConvertContent(
  repository: UserRepository,
  path: string,
  attributeFiles: Iterable<BytePath>,
): boolean {
  const above = repository.prefix.split('/').slice(0, -1)
  const files: (string | Buffer)[] = [
    ...repository.attributeFiles,
    '/etc/gitattributes',
    '/usr/local/etc/gitattributes',
    ...above.map((_, depth) =>
      join(
        repository.topLevel,
        Buffer.from(above.slice(0, depth).join('/'), 'latin1').toString(),
        '.gitattributes',
      ),
    ),
  ]
  for (const file of attributeFiles)
    files.push(Buffer.from(`${Buffer.from(path).toString('latin1')}/${file}`, 'latin1'))
  return files.some((file) => {
    try {
      return /filter|ident|working-tree-encoding/.test(readFileSync(file, 'latin1'))
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code
      return code !== 'ENOENT' && code !== 'ENOTDIR'
    }
  })
}

const GITLINK = 0o160000
const LINK = 0o120000

/** For the kinds of index that only git can read. It lists; it neither refreshes nor writes. */
async function listTrackedFiles(repository: UserRepository, signal?: AbortSignal): Promise<IndexEntry[]> {
  const output = await runGit({
    args: ['ls-files', '-t', '--stage', '-z'],
    cwd: repository.topLevel,
    configuration: 'user',
    environment: { GIT_DIR: repository.gitDirectory, GIT_WORK_TREE: repository.topLevel },
    signal,
  })
  return splitRecords(output).map((record) => {
    const end = record.indexOf('\t')
    const path = record.slice(end + 1)
    const [tag, mode = '', id = ''] = record.slice(0, end).split(' ')
    const unknown = { size: -1, inode: 0, mtimeNs: 0n, ctimeNs: 0n }
    return { path, id, mode: Number.parseInt(mode, 8), skipWorktree: tag === 'S', ...unknown }
  })
}
