import { dirname } from 'node:path'
import { joinPath, nativePath, toBytePath, trimSpace, type BytePath } from '../../byte-path.ts'
import { runGit } from '../private/git-command.ts'
import { hasFormat } from '../private/object-format.ts'
import { isPipe } from './is-pipe.ts'
import { objectReader } from '../private/read-object.ts'
import { readRegularFile } from '../private/read-regular-file.ts'
import type { UserRepository } from './repository-layout.ts'

export interface HeadState {
  readonly commit: string | null
  readonly ref: string | null
  /** Tree of the workspace at HEAD; `null` when HEAD has nothing there. */
  readonly tree: string | null
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
  const head = await readHeadNow(repository, known, signal)
  // Somebody may have made the repository anew, with names of objects that mean nothing beside those of snapshots.
  const isOtherFormat = head.tree !== null && !hasFormat(repository.format, head.tree)
  return isOtherFormat ? { ...head, tree: null } : head
}

async function readHeadNow(
  repository: UserRepository,
  known: HeadState | null,
  signal?: AbortSignal,
): Promise<HeadState> {
  const seen = readHeadFiles(
    toBytePath(repository.gitDirectory),
    toBytePath(dirname(repository.objectsDirectory)),
  )
  if (seen !== null && known !== null && known.commit === seen.commit) return { ...known, ref: seen.ref }
  if (seen === null && isBlocked(repository)) return { commit: null, ref: null, tree: null }
  const plainTree = seen === null || repository.prefix !== '' ? null : readTreeId(repository, seen.commit)
  if (seen !== null && plainTree !== null) return { ...seen, tree: plainTree }
  const ask = async (...args: string[]) => {
    const output = await runGit({
      args: ['rev-parse', ...args],
      cwd: '/',
      configuration: 'user',
      environment: { GIT_DIR: repository.gitDirectory },
      exitCodes: [0, 1, 128],
      signal,
    })
    return trimSpace(output.toString('utf8')).split('\n')
  }
  const start = seen?.commit ?? 'HEAD'
  const inside = repository.prefix === '' ? `${start}^{tree}` : `${start}:${repository.prefix.slice(0, -1)}`
  const [names, trees] = await Promise.all([
    seen === null ? ask('HEAD', '--symbolic-full-name', 'HEAD') : [seen.commit, seen.ref ?? 'HEAD'],
    ask('--quiet', '--verify', inside),
  ])
  const [commit, ref] = names
  if (!isId(commit)) return { commit: null, ref: await unbornBranch(repository, signal), tree: null }
  const tree = trees[0]
  return { commit, ref: ref === undefined || ref === 'HEAD' ? null : ref, tree: isId(tree) ? tree : null }
}

/** Whether git would wait at a pipe, in the place of HEAD or of the branch that it names. */
function isBlocked({ gitDirectory, objectsDirectory }: UserRepository): boolean {
  const git = toBytePath(gitDirectory)
  if (isPipe(nativePath(joinPath(git, 'HEAD')))) return true
  const head = readRegularFile(nativePath(joinPath(git, 'HEAD')), { maxBytes: 4096, followLink: true })
  const [, ref] = /^ref: (refs\/[^\n\0]+)$/.exec(trimSpace(head?.toString('latin1') ?? '')) ?? []
  return ref !== undefined && isPipe(nativePath(joinPath(toBytePath(dirname(objectsDirectory)), ref)))
}

/** Of a commit, without a process. @returns `null` when only git can tell, or the tree is not there */
function readTreeId({ objectsDirectory, format }: UserRepository, commit: string): string | null {
  const read = objectReader(objectsDirectory, format)
  const object = read(commit)
  const [, tree] = /^tree ([0-9a-f]+)\n/.exec(object?.content.toString('latin1') ?? '') ?? []
  return object?.type === 'commit' && isId(tree) && read(tree)?.type === 'tree' ? tree : null
}

const MAX_PACKED_REFS_BYTES = 1 << 20

/**
 * The usual layouts, read without a process.
 * @param shared where a linked work tree has the refs
 * @returns `null` when only git can tell
 */
export function readHeadFiles(
  gitDirectory: BytePath,
  shared: BytePath,
): { readonly commit: string; readonly ref: string | null } | null {
  const read = (directory: BytePath, name: string) => {
    const path = nativePath(joinPath(directory, name))
    const content = readRegularFile(path, { maxBytes: MAX_PACKED_REFS_BYTES, followLink: true })
    return content?.toString('utf8') ?? ''
  }
  const head = trimSpace(read(gitDirectory, 'HEAD'))
  if (isId(head)) return { commit: head, ref: null }
  const [, ref] = /^ref: (refs\/heads\/[^\n]+)$/.exec(head) ?? []
  if (ref === undefined || ref.split('/').includes('..')) return null
  const commit = trimSpace(read(shared, toBytePath(ref)))
  if (isId(commit)) return { commit, ref }
  if (commit !== '') return null
  const line = read(shared, 'packed-refs')
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
  return trimSpace(output.toString('utf8')) || null
}
