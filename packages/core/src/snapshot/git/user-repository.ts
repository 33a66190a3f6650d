import { readFileSync, statSync } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { dirname, join, relative, sep } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import { toBytePath, type BytePath } from './byte-path.ts'
import { askGit, runGit } from './git-command.ts'

/** Where the parts of the user's repository are. All of them are only ever read. */
export interface UserRepository {
  /** Top of the work tree. */
  readonly topLevel: string
  /** Where the workspace lies below the top: empty, or a path that ends in `/`. */
  readonly prefix: BytePath
  readonly gitDirectory: string
  readonly indexFile: string
  readonly objectsDirectory: string
  readonly format: 'sha1' | 'sha256'
  /** Ignore rules besides the `.gitignore` files: `info/exclude`, and `core.excludesFile` of any level. */
  readonly excludeFile: string
  readonly globalExcludesFile: string
  /** Attributes besides the `.gitattributes` files. */
  readonly attributeFiles: readonly string[]
}

export interface HeadState {
  readonly commit: string | null
  readonly ref: string | null
  /** Tree of the workspace at HEAD; `null` when HEAD has nothing there. */
  readonly tree: string | null
}

const layoutQuestions = [
  'rev-parse',
  '--path-format=absolute',
  '--is-bare-repository',
  '--is-inside-work-tree',
  '--show-object-format',
  '--git-dir',
  ...['index', 'objects', 'info/exclude', 'info/attributes'].flatMap((path) => ['--git-path', path]),
  '--show-toplevel',
]

/**
 * Finds the repository whose work tree holds a directory.
 * @returns `null` when there is none, or when the repository ignores the whole directory
 * @throws `INVALID_INPUT` for a bare repository, `CORRUPT` for one that git cannot open, `UNSUPPORTED` without a git that is new enough
 */
export async function findUserRepository(path: string): Promise<UserRepository | null> {
  const candidate = await nearestRepository(path)
  const trusted = candidate === null ? [] : ['-c', `safe.directory=${candidate}`]
  const [, layout, settings] = await Promise.all([
    assertGitVersion(path),
    askGit({ cwd: path, args: [...trusted, ...layoutQuestions] }),
    readSettings(path, trusted),
  ])
  if (layout.text === null) return explainFailure(path, candidate, layout.failure)
  const lines = layout.text.replace(/\n$/, '').split('\n')
  const [
    isBare,
    isInWorkTree,
    format,
    gitDirectory,
    indexFile,
    objectsDirectory,
    excludeFile,
    attributes,
    topLevel,
  ] = lines
  if (isBare === 'true' || isInWorkTree === 'false') throw bareRepository(path)
  if (lines.length !== 9 || topLevel === undefined || (format !== 'sha1' && format !== 'sha256')) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `git describes the repository of ${path} in a way that is not understood.`,
      {
        details: { path },
      },
    )
  }
  const below = relative(topLevel, path).split(sep).join('/')
  if (below !== '' && (await isIgnored(path, trusted))) return null
  return {
    topLevel,
    prefix: below === '' ? '' : `${toBytePath(below)}/`,
    gitDirectory: gitDirectory ?? '',
    indexFile: indexFile ?? '',
    objectsDirectory: objectsDirectory ?? '',
    format,
    excludeFile: excludeFile ?? '',
    globalExcludesFile: settings.get('core.excludesfile') ?? configurationFile('ignore'),
    attributeFiles: [
      attributes ?? '',
      settings.get('core.attributesfile') ?? configurationFile('attributes'),
    ],
  }
}

/**
 * What HEAD is now. All `null` when there is no commit, or no repository any more.
 * @param known an earlier answer: as long as HEAD's commit is the same, git need not be asked for its tree
 */
export async function readHead(
  repository: UserRepository,
  known: HeadState | null,
  signal?: AbortSignal,
): Promise<HeadState> {
  const seen = readHeadFiles(repository)
  if (seen !== null && known !== null && known.commit === seen.commit) return { ...known, ref: seen.ref }
  const ask = async (...args: string[]) => {
    const output = await runGit({
      args: ['rev-parse', ...args],
      cwd: '/',
      configuration: 'user',
      environment: { GIT_DIR: repository.gitDirectory },
      exitCodes: [0, 1, 128],
      signal,
    })
    return output.toString('utf8').trimEnd().split('\n')
  }
  const inside = repository.prefix === '' ? 'HEAD^{tree}' : `HEAD:${repository.prefix.slice(0, -1)}`
  const [names, trees] = await Promise.all([
    ask('HEAD', '--symbolic-full-name', 'HEAD'),
    ask('--quiet', '--verify', inside),
  ])
  const [commit, ref] = names
  if (!isId(commit)) return { commit: null, ref: await unbornBranch(repository, signal), tree: null }
  const tree = trees[0]
  return { commit, ref: ref === undefined || ref === 'HEAD' ? null : ref, tree: isId(tree) ? tree : null }
}

const MAX_PACKED_REFS_BYTES = 1 << 20

/** The usual layouts, read without a process. @returns `null` when only git can tell */
function readHeadFiles(repository: UserRepository): { commit: string; ref: string | null } | null {
  const read = (path: string) => {
    try {
      if (statSync(path).size > MAX_PACKED_REFS_BYTES) return ''
      return readFileSync(path, 'utf8')
    } catch {
      return ''
    }
  }
  const head = read(join(repository.gitDirectory, 'HEAD')).trim()
  if (isId(head)) return { commit: head, ref: null }
  const [, ref] = /^ref: (refs\/heads\/[^\n]+)$/.exec(head) ?? []
  if (ref === undefined || ref.split('/').includes('..')) return null
  const shared = dirname(repository.objectsDirectory)
  const commit = read(join(shared, ref)).trim()
  if (isId(commit)) return { commit, ref }
  if (commit !== '') return null
  const line = read(join(shared, 'packed-refs'))
    .split('\n')
    .find((text) => text.endsWith(` ${ref}`))
  const packed = line?.slice(0, line.indexOf(' '))
  return isId(packed) ? { commit: packed, ref } : null
}

function isId(text: string | undefined): text is string {
  return text !== undefined && /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)
}

async function unbornBranch(repository: UserRepository, signal?: AbortSignal): Promise<string | null> {
  const output = await runGit({
    args: ['symbolic-ref', '--quiet', 'HEAD'],
    cwd: '/',
    configuration: 'user',
    environment: { GIT_DIR: repository.gitDirectory },
    exitCodes: [0, 1, 128],
    signal,
  })
  return output.toString('utf8').trim() || null
}

async function nearestRepository(path: string): Promise<string | null> {
  const device = (await lstat(path)).dev
  for (let directory = path; ; directory = dirname(directory)) {
    const info = await lstat(directory)
    if (info.dev !== device) return null
    if (await lstat(join(directory, '.git')).catch(() => null)) return directory
    if (dirname(directory) === directory) return null
  }
}

/** A scratch directory that a repository ignores is not part of it: a snapshot by its rules would hold nothing. */
async function isIgnored(path: string, trusted: readonly string[]): Promise<boolean> {
  const { text } = await askGit({
    cwd: path,
    args: [...trusted, 'check-ignore', '--', path],
    // An absolute path is taken as it is; this command knows no literal pathspecs.
    environment: { GIT_LITERAL_PATHSPECS: '0' },
  })
  return text !== null && text !== ''
}

async function readSettings(cwd: string, trusted: readonly string[]): Promise<Map<string, string>> {
  const pattern = '^core\\.(excludesfile|attributesfile)$'
  const answer = await askGit({
    cwd,
    args: [...trusted, 'config', '-z', '--type=path', '--get-regexp', pattern],
  })
  const settings = new Map<string, string>()
  for (const record of (answer.text ?? '').split('\0')) {
    const end = record.indexOf('\n')
    if (end !== -1) settings.set(record.slice(0, end), record.slice(end + 1))
  }
  return settings
}

function configurationFile(name: string): string {
  const base = process.env['XDG_CONFIG_HOME'] || join(process.env['HOME'] ?? homedir(), '.config')
  return join(base, 'git', name)
}

async function assertGitVersion(cwd: string): Promise<void> {
  const { text } = await askGit({ cwd, args: ['version'] })
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(text ?? '') ?? []
  if (Number(major) > 2 || (Number(major) === 2 && Number(minor) >= 31)) return
  throw new WorkspaceError(
    'UNSUPPORTED',
    `Snapshots need git 2.31 or newer, and this is ${text?.trim() || 'something else'}. Install a newer git.`,
  )
}

function bareRepository(path: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `${path} is a bare repository or lies inside one, so it has no files of its own. Name a work tree.`,
    { details: { path } },
  )
}

function explainFailure(path: string, candidate: string | null, reason: string): null {
  if (/must be run in a work tree/.test(reason)) throw bareRepository(path)
  if (candidate === null && /not a git repository/.test(reason)) return null
  throw new WorkspaceError(
    'CORRUPT',
    `git cannot open the repository of ${path}: ${reason.trim()}. Repair it, remove its .git, or use the strategy "hash".`,
    { details: { path } },
  )
}
