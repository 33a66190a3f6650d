import { mkdirSync, readdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, vi } from 'vitest'
import { defaultStateDirectory } from '../../../src/filesystem/state-directory.ts'
import { collect, createFixture, fingerprint, runUserGit } from './git-fixture.ts'
import { holds } from './private-content.ts'

describe('what snapshots store', () => {
  it("is nothing in the user's repository: no object, no ref, no reason for gc or for a push to take it along (cases 63, 64, 72)", async () => {
    const { path, outside, write, git, open } = createFixture()
    const before = fingerprint(join(path, '.git'))
    const backend = await open()
    for (let step = 0; step < 10; step += 1) {
      for (let number = 0; number < 20; number += 1) write(`made/${number}`, `${step} ${number}`)
      await backend.capture({ label: 'x' })
    }
    expect(fingerprint(join(path, '.git'))).toEqual(before)
    git('gc', '-q', '--prune=now')
    expect(git('fsck', '--full', '--strict').trim()).toBe('')
    runUserGit(outside, 'init', '-q', '--bare', 'mirror')
    git('push', '-q', '--mirror', join(outside, 'mirror'))
    expect(runUserGit(join(outside, 'mirror'), 'for-each-ref', '--format=%(refname)').trim()).toBe(
      'refs/heads/main',
    )
    expect(holds(join(outside, 'mirror'), '9 19')).toBe(false)
  })

  it('is below the state directory alone, also while it is being written, and not in a temporary directory (case 71)', async () => {
    const { write, open, stateDirectory } = createFixture()
    write('big.bin', Buffer.alloc(9_000_000, 'x'))
    const elsewhere = join(stateDirectory, '..', 'tmp')
    mkdirSync(elsewhere)
    vi.stubEnv('TMPDIR', elsewhere)
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    write('big.bin', Buffer.alloc(9_000_000, 'y'))
    const after = await backend.capture({ label: 'x' })
    await collect(backend.patch(before, after))
    await backend.rollback(before)
    expect(readdirSync(elsewhere)).toEqual([])
    vi.unstubAllEnvs()
    vi.stubEnv('XDG_STATE_HOME', '')
    vi.stubEnv('HOME', '/home/somebody')
    expect(defaultStateDirectory().startsWith(tmpdir())).toBe(false)
    vi.unstubAllEnvs()
  })

  it('holds no ignored secret, is for its owner alone, and no patch shows what was ignored (case 73)', async () => {
    const { write, open, git, stateDirectory } = createFixture()
    write('.gitignore', '.env\n')
    write('.env', 'TOKEN=before-6f1d')
    git('add', '.gitignore')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    write('.env', 'TOKEN=after-6f1d')
    write('a.txt', 'changed\n')
    const after = await backend.capture({ label: 'x', previous: before })
    const patch = await collect(backend.patch(before, after))
    expect(patch.includes('6f1d')).toBe(false)
    expect(holds(stateDirectory, '6f1d')).toBe(false)
    expect(holds(stateDirectory, 'changed')).toBe(true)
    expect(statSync(join(stateDirectory, 'git/sha1')).mode & 0o077).toBe(0)
  })
})
