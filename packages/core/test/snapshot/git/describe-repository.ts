import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { runUserGit } from './git-fixture.ts'

/** All that `restoreGit` promises to bring back, as git shows it. */
export function describeRepository(path: string): Record<string, string> {
  const ask = (...args: string[]): string => {
    try {
      return runUserGit(path, ...args)
    } catch {
      return 'fails'
    }
  }
  const gitDirectory = ask('rev-parse', '--absolute-git-dir').trim()
  return {
    head: ask('symbolic-ref', '-q', 'HEAD'),
    commit: ask('rev-parse', '-q', '--verify', 'HEAD'),
    index: ask('ls-files', '--stage', '-z'),
    stash: ask('stash', 'list', '--format=%gd %H %gs %gn %ge'),
    status: ask('--no-optional-locks', 'status', '--porcelain=v2', '--branch', '-z'),
    operation: ['MERGE_HEAD', 'MERGE_MSG', 'CHERRY_PICK_HEAD', 'rebase-merge', 'rebase-apply']
      .filter((name) => existsSync(join(gitDirectory, name)))
      .join(),
  }
}
