import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import type { PlainFixture } from '../plain-fixture.ts'

/**
 * Puts something of each kind into a workspace that has `a.txt` and `src/b.txt`.
 * @returns what an agent does that spoils all of it
 */
export function fillWithEachKind({ path, write }: PlainFixture): () => void {
  write('secret.env', 'KEY=1', 0o600)
  write('run.sh', '#!/bin/sh\n', 0o755)
  write('group.txt', 'group', 0o664)
  write('dir/deep/file.bin', Buffer.from([0, 1, 2, 255, 13, 10]))
  write('dos.txt', 'a\r\nb\r\n')
  write('large.bin', Buffer.from(Array.from({ length: 400_000 }, (_, at) => (at * at) % 251)))
  chmodSync(join(path, 'dir/deep'), 0o750)
  symlinkSync('a.txt', join(path, 'link'))
  mkdirSync(join(path, 'empty/inner'), { recursive: true })
  chmodSync(join(path, 'empty/inner'), 0o700)
  execFileSync('sh', ['-c', 'printf x > "$(printf \'odd\\377\')"'], { cwd: path })
  return () => {
    write('a.txt', 'spoilt\n')
    chmodSync(join(path, 'secret.env'), 0o644)
    rmSync(join(path, 'dir'), { recursive: true })
    write('dir', 'now a file')
    unlinkSync(join(path, 'link'))
    mkdirSync(join(path, 'link'))
    write('link/inside', 'x')
    rmSync(join(path, 'empty'), { recursive: true })
    write('new/deeply/made.txt', 'made')
    mkdirSync(join(path, 'new-empty'))
    chmodSync(join(path, 'run.sh'), 0o644)
    chmodSync(join(path, 'src'), 0o700)
    write('dos.txt', 'a\nb\n')
    write('large.bin', 'short')
    unlinkSync(join(path, 'src/b.txt'))
    symlinkSync('../a.txt', join(path, 'src/b.txt'))
    execFileSync('sh', ['-c', 'rm odd*'], { cwd: path })
  }
}
