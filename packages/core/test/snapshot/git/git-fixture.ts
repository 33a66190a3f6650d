import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { openGitBackend, openRememberedGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

export interface Fixture {
  /** The workspace. */
  readonly path: string
  readonly stateDirectory: string
  /** A directory outside of both. */
  readonly outside: string
  readonly git: (...args: string[]) => string
  readonly write: (path: string, content: string | Uint8Array, mode?: number) => void
  /** Makes the index look written long after the files, as it is in any repository that was not made just now. */
  readonly ageFiles: () => void
  readonly read: (path: string) => string
  readonly open: (path?: string) => Promise<SnapshotBackend>
  /** Opened for snapshots that exist, whatever has become of the repository. */
  readonly openGone: () => Promise<SnapshotBackend>
}

/** A new repository with one commit (`a.txt`, `src/b.txt`), gone after the test. */
export function createFixture(options: { readonly empty?: boolean; readonly format?: string } = {}): Fixture {
  const base = createScratch()
  const path = join(base, 'work')
  for (const name of ['work', 'state', 'outside']) mkdirSync(join(base, name), { mode: 0o755 })
  const fixture: Fixture = {
    path,
    stateDirectory: join(base, 'state'),
    outside: join(base, 'outside'),
    git: (...args) => runUserGit(path, ...args),
    write: (name, content, mode) => {
      const target = join(path, name)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content)
      chmodSync(target, mode ?? 0o644)
    },
    ageFiles: () => {
      const later = new Date(Date.now() + 60_000)
      utimesSync(join(path, '.git/index'), later, later)
    },
    read: (name) => readFileSync(join(path, name), 'latin1'),
    open: async (directory = path) => {
      const backend = await openGitBackend({ path: directory, stateDirectory: join(base, 'state') })
      if (backend === null) throw new Error('no repository')
      return backend
    },
    openGone: async () => {
      const backend = await openRememberedGitBackend({ path, stateDirectory: join(base, 'state') })
      if (backend === null) throw new Error('no snapshots')
      return backend
    },
  }
  fixture.git('init', '-q', '-b', 'main', `--object-format=${options.format ?? 'sha1'}`)
  if (options.empty !== true) {
    fixture.write('a.txt', 'one\ntwo\n')
    fixture.write('src/b.txt', 'three\n')
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

/** Every path below a directory with its type, permissions and content; `.git` of the top is left out. */
export function describeTree(root: string): Record<string, string> {
  const found: Record<string, string> = {}
  const visit = (directory: Buffer, prefix: string) => {
    for (const name of readdirSync(directory, { encoding: 'buffer' })) {
      const text = prefix + name.toString('latin1')
      if (text === '.git') continue
      const path = Buffer.concat([directory, Buffer.from('/'), name])
      const stats = lstatSync(path)
      const mode = (stats.mode & 0o7777).toString(8)
      if (stats.isDirectory()) {
        found[text] = 'directory'
        visit(path, `${text}/`)
      } else if (stats.isSymbolicLink())
        found[text] = `link ${readlinkSync(path, { encoding: 'latin1' as BufferEncoding })}`
      else if (stats.isFile())
        found[text] = `file ${mode} ${createHash('sha256').update(readFileSync(path)).digest('hex')}`
      else found[text] = 'special'
    }
  }
  visit(Buffer.from(root), '')
  return found
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

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}

/** `M path` for each change, as in `git status`. */
export async function changeList(backend: SnapshotBackend, from: Snapshot, to: Snapshot): Promise<string[]> {
  const changes = await backend.changes(from, to)
  return changes.map(({ status, path, before, after }) => {
    const isDirectory = (after ?? before)?.type === 'directory'
    return `${status} ${path}${isDirectory ? '/' : ''}`
  })
}
