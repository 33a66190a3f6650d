import { createHash } from 'node:crypto'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import {
  openBundleBackend,
  type OpenBundleBackendOptions,
} from '../../../src/snapshot/bundle/open-bundle-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

export interface Fixture {
  /** The workspace: a plain directory. */
  readonly path: string
  readonly stateDirectory: string
  /** A directory outside of both. */
  readonly outside: string
  readonly write: (path: string, content: string | Uint8Array, mode?: number) => void
  readonly read: (path: string) => string
  readonly open: (options?: Partial<OpenBundleBackendOptions>) => Promise<SnapshotBackend>
}

/** A directory with `a.txt` and `src/b.txt`, gone after the test. */
export function createFixture(): Fixture {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  for (const name of ['work', 'state', 'outside']) mkdirSync(join(base, name), { mode: 0o755 })
  const fixture: Fixture = {
    path,
    stateDirectory: join(base, 'state'),
    outside: join(base, 'outside'),
    write: (name, content, mode) => {
      const target = join(path, name)
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, content)
      chmodSync(target, mode ?? 0o644)
    },
    read: (name) => readFileSync(join(path, name), 'latin1'),
    open: (options) => openBundleBackend({ path, stateDirectory: join(base, 'state'), ...options }),
  }
  fixture.write('a.txt', 'one\ntwo\n')
  fixture.write('src/b.txt', 'three\n')
  return fixture
}

/** Every path below a directory with its type, permissions and content. */
export function describeTree(root: string): Record<string, string> {
  const found: Record<string, string> = {}
  const visit = (directory: Buffer, prefix: string) => {
    for (const name of readdirSync(directory, { encoding: 'buffer' })) {
      const text = prefix + name.toString('latin1')
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

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
