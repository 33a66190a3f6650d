import { type UserRepository } from './repository-layout.ts'
import { type FileStamp, isSettled, isSameStamp, stampOf, lstatIfAllowed } from './file-stamp.ts'
import { copyFileSync, readdirSync, rmSync, type Dirent } from 'node:fs'
import { join } from 'node:path'
import { compareBytes, joinPath, pathResolver, splitRecords, type BytePath } from './byte-path.ts'
import { type CapturedDirectory, type CaptureState } from './capture-state.ts'
import { runGit } from './git-command.ts'
import type { Pause } from './pause.ts'
import { privateCall, type PrivateRepository } from './private-repository.ts'

/** What there is in the workspace, by git's ignore rules. */
export type WorkspaceListing = Pick<
  CaptureState,
  'listed' | 'directories' | 'ignored' | 'nested' | 'unreadableDirectories' | 'ignoreStamp'
>

interface ListingSource {
  readonly path: string
  readonly user: UserRepository
  readonly own: PrivateRepository
  readonly pause: Pause
  readonly signal?: AbortSignal | undefined
}

/**
 * Lists the workspace. Names come and go only with a new modification time of their directory, so that when no
 * directory and no ignore file has changed, the last listing is the answer and git is not asked.
 */
export async function listWorkspace(
  source: ListingSource,
  last: CaptureState | null,
): Promise<WorkspaceListing> {
  if (last !== null && (await isListingValid(source, last))) return last
  copyExcludes(source)
  const prefix = source.user.prefix
  const output = await runGit({
    ...privateCall(source.own, listingCommand(source.user)),
    environment: {
      GIT_DIR: source.own.directory,
      GIT_WORK_TREE: source.user.topLevel,
      GIT_INDEX_FILE: join(source.own.directory, 'no-index'),
    },
    signal: source.signal,
  })
  const listed = new Set<BytePath>()
  const ignored: BytePath[] = []
  const nested: BytePath[] = []
  for (const record of splitRecords(output)) {
    const whole = record.slice(3)
    if (!whole.startsWith(prefix)) continue
    const path = whole.slice(prefix.length)
    const bare = path.endsWith('/') ? path.slice(0, -1) : path
    if (record.startsWith('!!')) ignored.push(bare)
    else if (bare === path) listed.add(path)
    else nested.push(bare)
  }
  const walk = await walkDirectories(source, new Set([...ignored, ...nested]), last)
  return {
    listed: () => listed,
    ignored,
    nested,
    ...walk,
    ignoreStamp: ignoreStamp(source, walk.directories),
  }
}

function listingCommand(user: UserRepository): string[] {
  return ['-c', 'core.bare=false', '-c', `core.excludesFile=${user.globalExcludesFile}`].concat(
    ['status', '--porcelain', '-z', '--no-renames', '--untracked-files=all', '--ignored=matching'],
    user.prefix === '' ? [] : ['--', user.prefix],
  )
}

async function isListingValid(source: ListingSource, last: CaptureState): Promise<boolean> {
  const resolve = pathResolver(source.path)
  for (const [path, directory] of last.directories) {
    await source.pause()
    const stats = lstatIfAllowed(resolve(path))
    if (!directory.settled || stats === null || stats === 'denied') return false
    if (!isSameStamp(directory, stampOf(stats))) return false
  }
  if (last.unreadableDirectories.length > 0) return false
  return last.ignoreStamp !== '' && last.ignoreStamp === ignoreStamp(source, last.directories)
}

async function walkDirectories(
  source: ListingSource,
  left: ReadonlySet<BytePath>,
  last: CaptureState | null,
) {
  const resolve = pathResolver(source.path)
  const directories = new Map<BytePath, CapturedDirectory>()
  const unreadableDirectories: BytePath[] = []
  const waiting: BytePath[] = ['']
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    await source.pause()
    const readAtNs = BigInt(Date.now()) * 1_000_000n
    const stats = lstatIfAllowed(resolve(path))
    if (stats === 'denied') unreadableDirectories.push(path)
    if (stats === 'denied' || stats === null || !stats.isDirectory()) continue
    const known = last?.directories.get(path)
    const stamp = stampOf(stats)
    let directory: CapturedDirectory | null = known ?? null
    if (known === undefined || !known.settled || !isSameStamp(known, stamp)) {
      directory = readDirectory(resolve(path), stamp, readAtNs)
    }
    if (directory === null) {
      unreadableDirectories.push(path)
      continue
    }
    directories.set(path, directory)
    for (const name of directory.children) {
      const child = joinPath(path, name)
      if (!left.has(child)) waiting.push(child)
    }
  }
  return { directories, unreadableDirectories }
}

function readDirectory(path: string | Buffer, stamp: FileStamp, readAtNs: bigint): CapturedDirectory | null {
  let found: Dirent<Buffer>[]
  try {
    found = readdirSync(path, { withFileTypes: true, encoding: 'buffer' })
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code
    if (code === 'EACCES' || code === 'EPERM') return null
    if (code !== 'ENOENT' && code !== 'ENOTDIR') throw error
    found = []
  }
  const children: BytePath[] = []
  const special: BytePath[] = []
  let hasIgnoreFile = false
  for (const item of found) {
    const name = item.name.toString('latin1')
    if (name === '.git') continue
    if (name === '.gitignore') hasIgnoreFile = true
    if (item.isDirectory()) children.push(name)
    else if (!item.isFile() && !item.isSymbolicLink()) special.push(name)
  }
  children.sort(compareBytes)
  return { ...stamp, settled: isSettled(stamp, readAtNs), children, special, hasIgnoreFile }
}

/** Changes whenever a file with ignore rules does; empty when one of them changed a moment ago. */
function ignoreStamp(source: ListingSource, directories: ReadonlyMap<BytePath, CapturedDirectory>): string {
  const now = BigInt(Date.now()) * 1_000_000n
  const files: (string | Buffer)[] = [source.user.excludeFile, source.user.globalExcludesFile]
  const above = source.user.prefix.split('/').slice(0, -1)
  const resolveTop = pathResolver(source.user.topLevel)
  for (const depth of above.keys())
    files.push(resolveTop(joinPath(above.slice(0, depth).join('/'), '.gitignore')))
  const resolve = pathResolver(source.path)
  for (const [path, directory] of directories) {
    if (directory.hasIgnoreFile) files.push(resolve(joinPath(path, '.gitignore')))
  }
  const stamps: string[] = []
  for (const file of files) {
    const stats = lstatIfAllowed(file)
    // git too goes on without rules that it may not read.
    if (stats === null || stats === 'denied') stamps.push('-')
    else if (!isSettled(stats, now)) return ''
    else stamps.push(`${stats.ino}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`)
  }
  return stamps.join(' ')
}

/** The user's `info/exclude` counts, so the private repository gets the same one. */
function copyExcludes(source: ListingSource): void {
  const copy = join(source.own.directory, 'info', 'exclude')
  try {
    copyFileSync(source.user.excludeFile, copy)
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? ''
    if (!['ENOENT', 'ENOTDIR', 'EACCES'].includes(code)) throw error
    rmSync(copy, { force: true })
  }
}
