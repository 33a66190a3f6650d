import { execFileSync } from 'node:child_process'
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { attachPatch, computeDiff } from '../../../src/snapshot/compute-diff.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { collect, createFixture, createScratch } from './git-fixture.ts'

afterEach(() => vi.unstubAllEnvs())

/** @returns the commands of git that were started since */
function watchGit(): () => string[] {
  const directory = createScratch()
  const [log, real] = [join(directory, 'log'), execFileSync('which', ['git'], { encoding: 'utf8' }).trim()]
  mkdirSync(join(directory, 'bin'))
  writeFileSync(log, '')
  writeFileSync(join(directory, 'bin/git'), `#!/bin/sh\necho "$*" >> '${log}'\nexec '${real}' "$@"\n`)
  chmodSync(join(directory, 'bin/git'), 0o755)
  vi.stubEnv('PATH', `${join(directory, 'bin')}${delimiter}${process.env['PATH']}`)
  return () => readFileSync(log, 'utf8').split('\n').slice(0, -1)
}

/** Two snapshots with something between them, and the patch as a backend makes it that has compared nothing. */
async function twoSnapshots(
  edit: (write: ReturnType<typeof createFixture>['write']) => void,
  precious: string[] = [],
) {
  const { path, stateDirectory, write } = createFixture()
  const open = async () => {
    const backend = await openGitBackend({ path, stateDirectory, precious })
    return backend ?? expect.fail('there is no repository')
  }
  const backend = await open()
  const before = await backend.capture({ label: 'before' })
  edit(write)
  const after = await backend.capture({ label: 'after', previous: before })
  const patch = await collect((await open()).patch(before, after))
  return { backend, before, after, patch }
}

describe('the patch beside a list of changes', () => {
  it('comes from the same start of git, once', async () => {
    const { backend, before, after, patch } = await twoSnapshots((write) => write('a.txt', 'one\n2\n'))
    const started = watchGit()
    const diff = await computeDiff(backend, before, after)
    expect(await attachPatch(diff, backend, before, after)).toMatchObject({ patch: patch.toString() })
    expect(started()).toHaveLength(1)
    expect(await collect(backend.patch(before, after))).toEqual(patch)
    expect(started()).toHaveLength(2)
  })

  it('is that of the two states that are asked for', async () => {
    const { backend, before, after, patch } = await twoSnapshots((write) => write('a.txt', 'one\n2\n'))
    await backend.changes(after, before)
    expect(await collect(backend.patch(before, after))).toEqual(patch)
    await backend.changes(before, after)
    expect(await collect(backend.patch(before, before))).toHaveLength(0)
  })

  it('is told from the list whatever the names of files are', async () => {
    const names = ['3\t4\tsrc/b.txt', ':100644 100644 a b M', '-\t-\tx', 'diff --git a b', '\n', 'a\n\n']
    const { backend, before, after, patch } = await twoSnapshots((write) => {
      for (const name of names) write(name, 'one\ntwo\n')
      write('src/b.txt', '')
      write('zero', Buffer.alloc(100))
    })
    const changes = await backend.changes(before, after)
    const counts = changes.map(({ path, insertions, deletions }) => [path, insertions, deletions])
    expect(counts).toHaveLength(names.length + 2)
    for (const name of names) expect(counts).toContainEqual([name, 2, 0])
    expect(counts).toContainEqual(['src/b.txt', 0, 1])
    expect(counts).toContainEqual(['zero', null, null])
    expect(await collect(backend.patch(before, after))).toEqual(patch)
  })

  it('is read when it is asked for where it is long', async () => {
    const { backend, before, after, patch } = await twoSnapshots((write) =>
      write('long.txt', 'a line of it\n'.repeat(200_000)),
    )
    const started = watchGit()
    expect(await backend.changes(before, after)).toMatchObject([{ path: 'long.txt', insertions: 200_000 }])
    expect(started()).toHaveLength(1)
    const read = await collect(backend.patch(before, after))
    expect(started()).toHaveLength(2)
    expect(read.equals(patch)).toBe(true)
  })

  it('does not hold what is precious', async () => {
    const { backend, before, after, patch } = await twoSnapshots(
      (write) => {
        write('.env', 'TOKEN=of-the-agent\n')
        write('a.txt', 'one\n2\n')
      },
      ['.env'],
    )
    expect(await backend.changes(before, after)).toMatchObject([
      { path: '.env', redacted: true },
      { path: 'a.txt' },
    ])
    const read = await collect(backend.patch(before, after))
    expect(read).toEqual(patch)
    expect(read.toString()).not.toContain('TOKEN')
    expect(read.toString()).toContain('+2\n')
  })
})
