import {
  accessSync,
  closeSync,
  constants,
  openSync,
  readFileSync,
  readSync,
  realpathSync,
  renameSync,
  writeFileSync,
} from 'node:fs'
import { delimiter, dirname, isAbsolute, join } from 'node:path'
import { randomBytes } from 'node:crypto'
import zlib from 'node:zlib'
import { isSettled, lstatIfAllowed } from '../table/file-stamp.ts'
import { fromBytePath, toBytePath } from '../../byte-path.ts'
import { findRepositoryAt } from './repository-files.ts'
import type { UserRepository } from './repository-layout.ts'

/**
 * What git said about a repository, and what that rests on. Starting git several times to open a workspace would take
 * as long as the capture, so an answer is kept until a file changes that git may have read for it. Whatever is not plain
 * (a link, an include, a file changed a moment ago, a git that is a script) is not kept, and git is asked again.
 */
export interface KnownLayout {
  /** Which git, and in which environment. */
  readonly binary: string
  /** The machine's git configuration, which each build of git has in a place of its own. */
  readonly systemFile: string
  readonly evidence: string
  readonly layout: UserRepository
}

export interface LayoutEvidence {
  readonly text: string
  readonly gitDirectory: string
  readonly topLevel: string
  /** The configuration files that are there; `null` when the work tree's `.git` is not all of the repository. */
  readonly configuration: readonly string[] | null
}

const FORMAT = 2

/** @returns `null` when nothing is known that this very git said */
export function readKnownLayout(stateDirectory: string, binary: string): KnownLayout | null {
  try {
    const text = readFileSync(layoutPath(stateDirectory), 'utf8')
    const end = text.indexOf('\n')
    if (text.slice(0, end) !== checksum(text.slice(end + 1))) return null
    const known = JSON.parse(text.slice(end + 1)) as KnownLayout
    return known.binary === binary ? known : null
  } catch {
    return null
  }
}

/** Losing it costs time only, so a state directory that cannot be written fails elsewhere. */
export function rememberLayout(stateDirectory: string, known: KnownLayout): void {
  const path = layoutPath(stateDirectory)
  const temporary = `${path}.${randomBytes(8).toString('hex')}`
  const text = JSON.stringify(known)
  try {
    writeFileSync(temporary, `${checksum(text)}\n${text}`, { mode: 0o600, flag: 'wx' })
    renameSync(temporary, path)
  } catch {
    // Asked again the next time.
  }
}

function layoutPath(stateDirectory: string): string {
  return join(stateDirectory, 'git-layout')
}

function checksum(text: string): string {
  return `${FORMAT} ${zlib.crc32(text)}`
}

/** @returns `null` when the git that would run is not a plain program, and might be another one for each directory */
export function gitBinaryStamp(): string | null {
  const directories = (process.env['PATH'] ?? '').split(delimiter).filter(isAbsolute)
  for (const directory of directories) {
    const path = join(directory, 'git')
    try {
      accessSync(path, constants.X_OK)
    } catch {
      continue
    }
    if (isScript(path)) return null
    const stamp = stampText(realpathSync(path))
    const { HOME, XDG_CONFIG_HOME } = process.env
    return stamp === null ? null : JSON.stringify([path, stamp, HOME ?? null, XDG_CONFIG_HOME ?? null])
  }
  return null
}

function isScript(path: string): boolean {
  const start = Buffer.alloc(2)
  try {
    const file = openSync(path, 'r')
    try {
      readSync(file, start, 0, 2, 0)
    } finally {
      closeSync(file)
    }
  } catch {
    return true
  }
  return start.toString('latin1') === '#!'
}

/**
 * The stamps of everything that git goes by when it is asked where the parts of a repository are.
 * @returns `null` when that cannot be told apart from a change yet to come
 */
export function layoutEvidence(
  path: string,
  topLevel: string,
  systemFile: string | null,
): LayoutEvidence | null {
  if (systemFile === null) return null
  // A directory in between that looks like a bare repository would be one to git.
  for (let directory = path; directory !== topLevel; directory = dirname(directory)) {
    if (dirname(directory) === directory || lstatIfAllowed(join(directory, 'HEAD')) !== null) return null
  }
  const link = join(topLevel, '.git')
  const info = lstatIfAllowed(link)
  if (info === null || info === 'denied' || info.isSymbolicLink()) return null
  const places = findRepositoryAt(toBytePath(topLevel))
  if (places === null) return null
  const gitDirectory = fromBytePath(places.gitDirectory)
  const commonDirectory = fromBytePath(places.commonDirectory)
  const { HOME, XDG_CONFIG_HOME } = process.env
  const home = HOME ?? ''
  const configuration = [
    join(commonDirectory, 'config'),
    systemFile,
    join(home, '.gitconfig'),
    join(XDG_CONFIG_HOME || join(home, '.config'), 'git', 'config'),
  ]
  const files = [
    ...(info.isDirectory() ? [] : [link]),
    join(gitDirectory, 'commondir'),
    join(gitDirectory, 'config.worktree'),
    ...configuration,
  ]
  const stamps = files.map(stampText)
  if (home === '' || stamps.includes(null)) return null
  const text = JSON.stringify([
    path,
    topLevel,
    info.isDirectory(),
    gitDirectory,
    commonDirectory,
    files,
    stamps,
  ])
  const isPlain = info.isDirectory() && commonDirectory === gitDirectory
  const present = configuration.filter((file) => stamps[files.indexOf(file)] !== '-')
  return { text, gitDirectory, topLevel, configuration: isPlain ? present : null }
}

/** @returns `-` for an absent file, `null` for one that git may see otherwise than this stamp says */
function stampText(file: string): string | null {
  const stats = lstatIfAllowed(file)
  if (stats === null) return '-'
  if (stats === 'denied' || !stats.isFile() || !isSettled(stats, BigInt(Date.now()) * 1_000_000n)) return null
  return `${stats.ino}:${stats.mode}:${stats.uid}:${stats.size}:${stats.mtimeNs}:${stats.ctimeNs}`
}
