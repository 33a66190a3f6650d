import { readFileSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { runGit } from './git-command.ts'
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
