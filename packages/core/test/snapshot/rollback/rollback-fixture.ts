import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { openBundleBackend } from '../../../src/snapshot/bundle/open-bundle-backend.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { runUserGit } from '../git/git-fixture.ts'

/** The backends that can roll back. */
export const backends = ['git', 'bundle'] as const

export type BackendName = (typeof backends)[number]

export interface RollbackFixture {
  /** The workspace. */
  readonly path: string
  readonly stateDirectory: string
  /** A directory outside of both. */
  readonly outside: string
  readonly write: (path: string, content: string | Uint8Array, mode?: number) => void
  readonly read: (path: string) => string
  readonly open: () => Promise<SnapshotBackend>
}

/** A directory with `a.txt` and `src/b.txt`, for git with one commit of them; gone after the test. */
export function createRollbackFixture(name: BackendName): RollbackFixture {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  for (const part of ['work', 'state', 'outside']) mkdirSync(join(base, part), { mode: 0o755 })
  const stateDirectory = join(base, 'state')
  const fixture: RollbackFixture = {
    path,
    stateDirectory,
    outside: join(base, 'outside'),
    write: (file, content, mode) => {
      const target = join(path, file)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content)
      chmodSync(target, mode ?? 0o644)
    },
    read: (file) => readFileSync(join(path, file), 'latin1'),
    open: () => openRollbackBackend(name, path, stateDirectory),
  }
  fixture.write('a.txt', 'one\ntwo\n')
  fixture.write('src/b.txt', 'three\n')
  if (name === 'git') {
    runUserGit(path, 'init', '-q', '-b', 'main')
    runUserGit(path, 'add', '-A')
    runUserGit(path, 'commit', '-q', '-m', 'first')
  }
  return fixture
}

export async function openRollbackBackend(
  name: BackendName,
  path: string,
  stateDirectory: string,
): Promise<SnapshotBackend> {
  if (name === 'bundle') return openBundleBackend({ path, stateDirectory })
  const backend = await openGitBackend({ path, stateDirectory })
  if (backend === null) throw new Error(`${path} is no repository`)
  return backend
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
        found[text] = `directory ${mode}`
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

/** Removes all but the repository. */
export function emptyWorkspace(path: string): void {
  for (const name of readdirSync(path))
    if (name !== '.git') rmSync(join(path, name), { recursive: true, force: true })
}
