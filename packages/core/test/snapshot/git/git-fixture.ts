import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { lstatSync, mkdtempSync, readFileSync, readdirSync, rmSync, utimesSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openGitBackend, openRememberedGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { createPlainFixture, writeFirstFiles, type PlainFixture } from '../plain-fixture.ts'

export { describeTree } from '../../support/describe-tree.ts'
export { collect } from '../plain-fixture.ts'

export interface Fixture extends PlainFixture {
  readonly git: (...args: string[]) => string
  /** Makes the index look written long after the files, as it is in any repository that was not made just now. */
  readonly ageFiles: () => void
  readonly open: (path?: string) => Promise<SnapshotBackend>
  /** Opened for snapshots that exist, whatever has become of the repository. */
  readonly openGone: () => Promise<SnapshotBackend>
}

/** A new repository with one commit (`a.txt`, `src/b.txt`), gone after the test. */
export function createFixture(options: { readonly empty?: boolean; readonly format?: string } = {}): Fixture {
  const plain = createPlainFixture()
  const { path, stateDirectory } = plain
  const fixture: Fixture = {
    ...plain,
    git: (...args) => runUserGit(path, ...args),
    ageFiles: () => {
      const later = new Date(Date.now() + 60_000)
      utimesSync(join(path, '.git/index'), later, later)
    },
    open: async (directory = path) => {
      const backend = await openGitBackend({ path: directory, stateDirectory })
      if (backend === null) throw new Error('no repository')
      return backend
    },
    openGone: async () => {
      const backend = await openRememberedGitBackend({ path, stateDirectory })
      if (backend === null) throw new Error('no snapshots')
      return backend
    },
  }
  fixture.git('init', '-q', '-b', 'main', `--object-format=${options.format ?? 'sha1'}`)
  if (options.empty !== true) {
    writeFirstFiles(fixture)
    fixture.git('add', '-A')
    fixture.git('commit', '-q', '-m', 'first')
  }
  return fixture
}

export function createScratch(): string {
  const directory = mkdtempSync(join(tmpdir(), 'ws-git-'))
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/** git as the user runs it, apart from the machine's own settings. */
export function runUserGit(cwd: string, ...args: string[]): string {
  return execFileSync('git', ['-c', 'user.name=Ada', '-c', 'user.email=ada@example.org', ...args], {
    cwd,
    env: { PATH: process.env['PATH'], HOME: '/nonexistent', GIT_CONFIG_NOSYSTEM: '1', LC_ALL: 'C' },
    encoding: 'latin1',
    stdio: ['ignore', 'pipe', 'pipe'],
    maxBuffer: 1 << 28,
  })
}

/** Every file of a `.git`: name, content, mode, size and modification time. */
export function fingerprint(directory: string): Record<string, string> {
  const found: Record<string, string> = {}
  for (const name of readdirSync(directory, { recursive: true, encoding: 'utf8' })) {
    const path = join(directory, name)
    const stats = lstatSync(path, { bigint: true })
    const content = stats.isFile() ? createHash('sha256').update(readFileSync(path)).digest('hex') : ''
    found[name] = `${stats.mode} ${stats.size} ${stats.mtimeNs} ${content}`
  }
  return found
}

/** `M path` for each change, as in `git status`. */
export async function changeList(backend: SnapshotBackend, from: Snapshot, to: Snapshot): Promise<string[]> {
  const changes = await backend.changes(from, to)
  return changes.map(({ status, path, before, after }) => {
    const isDirectory = (after ?? before)?.type === 'directory'
    return `${status} ${path}${isDirectory ? '/' : ''}`
  })
}
