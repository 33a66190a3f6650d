import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'

/** A directory that is removed when the test that asked for it is over. Its path is real (no links in it). */
export function temporaryDirectory(): string {
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'ws-test-')))
  onTestFinished(() => removeTree(directory))
  return directory
}

/** Also what is closed to its owner, which is nothing to root. */
function removeTree(directory: string): void {
  const options = { recursive: true, force: true, maxRetries: 3 }
  try {
    rmSync(directory, options)
  } catch {
    execFileSync('chmod', ['-R', 'u+rwX', directory])
    rmSync(directory, options)
  }
}

export function writeFiles(directory: string, files: Readonly<Record<string, string | Uint8Array>>): void {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), content)
  }
}

/** Runs git as a user would, away from the configuration of whoever runs the tests. */
export function git(directory: string, ...arguments_: string[]): string {
  return runAsUser(directory, 'git', arguments_)
}

function runAsUser(directory: string, command: string, arguments_: readonly string[]): string {
  const { PATH = '' } = process.env
  return execFileSync(command, arguments_, {
    cwd: directory,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH,
      HOME: '/nonexistent',
      GIT_CONFIG_NOSYSTEM: '1',
      // Each commit would start a process that finds nothing to collect.
      GIT_CONFIG_COUNT: '1',
      GIT_CONFIG_KEY_0: 'maintenance.auto',
      GIT_CONFIG_VALUE_0: 'false',
      GIT_AUTHOR_NAME: 'A',
      GIT_AUTHOR_EMAIL: 'a@example.com',
      GIT_COMMITTER_NAME: 'A',
      GIT_COMMITTER_EMAIL: 'a@example.com',
    },
  })
}

/** A repository with one commit of these files. */
export function createRepository(
  directory: string,
  files: Readonly<Record<string, string | Uint8Array>>,
): string {
  mkdirSync(directory, { recursive: true })
  writeFiles(directory, files)
  // In one process of ours: to start one is dearer than what git does in it, and hundreds of tests begin with this.
  const steps =
    'git init --quiet --initial-branch=main && git add --all && git commit --quiet --allow-empty --message=first'
  runAsUser(directory, 'sh', ['-c', steps])
  return directory
}

export function makeExecutable(path: string): void {
  chmodSync(path, 0o755)
}
