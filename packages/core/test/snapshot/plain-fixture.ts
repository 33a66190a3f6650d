import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { temporaryDirectory } from '../support/temporary-directory.ts'

export interface PlainFixture {
  /** The workspace. */
  readonly path: string
  readonly stateDirectory: string
  /** A directory outside of both. */
  readonly outside: string
  readonly write: (path: string, content: string | Uint8Array, mode?: number) => void
  readonly read: (path: string) => string
}

/** An empty directory as workspace; all is gone after the test. */
export function createPlainFixture(): PlainFixture {
  const base = temporaryDirectory()
  const path = join(base, 'work')
  for (const name of ['work', 'state', 'outside']) mkdirSync(join(base, name), { mode: 0o755 })
  return {
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
  }
}

export function writeFirstFiles({ write }: PlainFixture): void {
  write('a.txt', 'one\ntwo\n')
  write('src/b.txt', 'three\n')
}

export async function collect(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of stream) chunks.push(chunk)
  return Buffer.concat(chunks)
}
