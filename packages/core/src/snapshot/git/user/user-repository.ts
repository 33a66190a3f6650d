import { type UserRepository } from './repository-layout.ts'
import { accessSync, constants } from 'node:fs'
import { lstat } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, sep } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import { toBytePath } from '../../byte-path.ts'
import { configurationFile } from './configuration-file.ts'
import { askGit, runGit } from '../private/git-command.ts'
import { gitBinaryStamp, layoutEvidence, readKnownLayout, rememberLayout } from './known-layout.ts'
import { readPlainLayout } from './plain-layout.ts'

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

/** Why a directory cannot be captured by way of git. */
export type GitAbsence = 'no-work-tree' | 'ignored'

/**
 * Finds the repository whose work tree holds a directory. What git has said is remembered in the state directory, and
 * counts as long as nothing that git went by has changed.
 * @throws `INVALID_INPUT` for a bare repository, `CORRUPT` for one that git cannot open, `UNSUPPORTED` without a git that is new enough
 */
export async function findUserRepository(
  path: string,
  stateDirectory: string,
): Promise<UserRepository | GitAbsence> {
  const layout = await findLayout(path, stateDirectory)
  if (layout === null) return 'no-work-tree'
  return layout.prefix !== '' && (await isIgnored(path, layout.topLevel)) ? 'ignored' : layout
}

async function findLayout(path: string, stateDirectory: string): Promise<UserRepository | null> {
  const candidate = await nearestRepository(path)
  const binary = gitBinaryStamp()
  const known = binary === null ? null : readKnownLayout(stateDirectory, binary)
  const systemFile = known === null ? await askOnceAboutGit(path, binary) : known.systemFile
  // Taken before git is asked, so that a change meanwhile shows the next time.
  const evidence = candidate === null ? null : layoutEvidence(path, candidate, systemFile)
  if (known !== null && evidence !== null && known.evidence === evidence.text) return known.layout
  const remember = (layout: UserRepository) => {
    if (binary !== null && systemFile !== null && evidence !== null)
      rememberLayout(stateDirectory, { binary, systemFile, evidence: evidence.text, layout })
  }
  const plain = binary === null || evidence === null ? null : readPlainLayout(path, evidence)
  if (plain !== null) {
    remember(plain)
    return plain
  }
  const answer = await askForLayout(path, candidate)
  if (answer === null) return null
  const { layout, hasIncludes } = answer
  const isUsual = layout.topLevel === candidate && layout.gitDirectory === evidence?.gitDirectory
  if (isUsual && !hasIncludes) remember(layout)
  return layout
}

async function askForLayout(
  path: string,
  candidate: string | null,
): Promise<{ readonly layout: UserRepository; readonly hasIncludes: boolean } | null> {
  const trusted = candidate === null ? [] : ['-c', `safe.directory=${candidate}`]
  const [answer, settings] = await Promise.all([
    askGit({ cwd: path, args: [...trusted, ...layoutQuestions] }),
    readSettings(path, trusted),
  ])
  if (answer.text === null) return explainFailure(path, candidate, answer.failure)
  const lines = answer.text.replace(/\n$/, '').split('\n')
  const [isBare, isInWorkTree, format, gitDirectory, ...places] = lines
  const [indexFile, objectsDirectory, excludeFile, attributes, topLevel] = places
  if (isBare === 'true' || isInWorkTree === 'false') throw bareRepository(path)
  if (lines.length !== 9 || topLevel === undefined || (format !== 'sha1' && format !== 'sha256')) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `git describes the repository of ${path} in a way that is not understood.`,
      { details: { path } },
    )
  }
  const below = relative(topLevel, path).split(sep).join('/')
  const layout: UserRepository = {
    topLevel,
    prefix: below === '' ? '' : `${toBytePath(below)}/`,
    gitDirectory: gitDirectory ?? '',
    indexFile: indexFile ?? '',
    objectsDirectory: objectsDirectory ?? '',
    format,
    excludeFile: excludeFile ?? '',
    globalExcludesFile: settings.get('core.excludesfile') ?? configurationFile('ignore'),
    ignoreCase: isTrue(settings.get('core.ignorecase')),
    attributeFiles: [
      attributes ?? '',
      settings.get('core.attributesfile') ?? configurationFile('attributes'),
      // Attributes from a commit may say anything; a directory in their place says that.
      ...(settings.has('attr.tree') ? [gitDirectory ?? ''] : []),
    ],
  }
  return { layout, hasIncludes: [...settings.keys()].some((name) => name.startsWith('include')) }
}

/** The directory, or the nearest one above it on the same device, that holds a `.git`. Starts no git. */
export async function nearestRepository(path: string): Promise<string | null> {
  const device = (await lstat(path)).dev
  for (let directory = path; ; directory = dirname(directory)) {
    const info = await lstat(directory)
    if (info.dev !== device) return null
    const found = await lstat(join(directory, '.git')).catch((error: unknown) => {
      // Whether a repository is there cannot be told, and what is above is another one.
      if (directory === path && errnoOf(error) === 'EACCES') throw closedDirectory(path, error)
      return null
    })
    if (found !== null) return directory
    if (dirname(directory) === directory) return null
  }
}

/** A scratch directory that a repository ignores is not part of it: a snapshot by its rules would hold nothing. */
async function isIgnored(path: string, topLevel: string): Promise<boolean> {
  const output = await runGit({
    cwd: path,
    configuration: 'user',
    args: ['-c', `safe.directory=${topLevel}`, 'check-ignore', '--', path],
    // An absolute path is taken as it is; this command knows no literal pathspecs.
    environment: { GIT_LITERAL_PATHSPECS: '0' },
    exitCodes: [0, 1, 128],
  })
  return output.length > 0
}

async function readSettings(cwd: string, trusted: readonly string[]): Promise<Map<string, string>> {
  const pattern = '^(core\\.(excludesfile|attributesfile|ignorecase)|attr\\.tree|include(if)?\\..*)$'
  // Not by way of simple-git, which waits for 50 ms where git prints nothing. What cannot be read is told by the layout.
  const output = await runGit({
    cwd,
    configuration: 'user',
    args: [...trusted, 'config', '-z', '--type=path', '--get-regexp', pattern],
    exitCodes: [0, 1],
  }).catch((error: unknown) => {
    if (WorkspaceError.is(error, 'UNAVAILABLE')) return Buffer.alloc(0)
    throw error
  })
  const settings = new Map<string, string>()
  for (const record of output.toString('utf8').split('\0')) {
    const end = record.indexOf('\n')
    if (end !== -1) settings.set(record.slice(0, end), record.slice(end + 1))
    // A name alone is true.
    else if (record !== '') settings.set(record, 'true')
  }
  return settings
}

function isTrue(value: string | undefined): boolean {
  return value !== undefined && !isFalse(value)
}

function isFalse(value: string | undefined): boolean {
  return value !== undefined && /^(false|no|off|0|)$/i.test(value)
}

/** What each git that this process has met says of itself. */
const systemFiles = new Map<string, string | null>()

async function askOnceAboutGit(cwd: string, binary: string | null): Promise<string | null> {
  if (binary === null) return askAboutGit(cwd)
  const known = systemFiles.get(binary)
  if (known !== undefined) return known
  const systemFile = await askAboutGit(cwd)
  systemFiles.set(binary, systemFile)
  return systemFile
}

/** @returns the machine's configuration file; `null` when git did not say which that is */
async function askAboutGit(cwd: string): Promise<string | null> {
  // Not by way of simple-git: loading it takes longer, and most workspaces need nothing else of it.
  const ask = (...args: string[]) =>
    runGit({ cwd, configuration: 'user', args }).then(
      (output) => ({ text: output.toString('utf8'), failure: '' }),
      (error: unknown) => {
        if (WorkspaceError.is(error, 'UNAVAILABLE')) return { text: null, failure: error.message }
        throw error
      },
    )
  const [{ text }, system] = await Promise.all([
    ask('version'),
    ask('config', '--system', '--list', '--show-origin', '-z'),
  ])
  const [, major = '0', minor = '0'] = /(\d+)\.(\d+)/.exec(text ?? '') ?? []
  if (Number(major) < 2 || (Number(major) === 2 && Number(minor) < 31)) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `Snapshots need git 2.31 or newer, and this is ${text?.trim() || 'something else'}. Install a newer git, or take snapshots by the strategy "hash" or "bundle".`,
    )
  }
  const [, listed] = /^file:([^\0]+)\0/.exec(system.text ?? '') ?? []
  const [, absent] = /unable to read config file '([^'\n]+)': No such file/.exec(system.failure) ?? []
  const file = listed ?? absent ?? ''
  return isAbsolute(file) ? file : null
}

function isClosed(path: string): boolean {
  try {
    accessSync(path, constants.R_OK | constants.X_OK)
    return false
  } catch (error) {
    return errnoOf(error) === 'EACCES'
  }
}

function closedDirectory(path: string, cause: unknown): WorkspaceError {
  return new WorkspaceError(
    'ACCESS_DENIED',
    `${path} is closed to this user. Let its owner in (chmod -R u+rwX ${JSON.stringify(path)}), then try again.`,
    { cause, details: { path } },
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
  if (candidate !== null && isClosed(join(candidate, '.git')))
    throw closedDirectory(join(candidate, '.git'), new Error(reason.trim()))
  throw new WorkspaceError(
    'CORRUPT',
    `git cannot open the repository of ${path}: ${reason.trim()}. Repair it, remove its .git, or use the strategy "hash".`,
    { details: { path } },
  )
}
