import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, renameSync, rmSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { acquireProcessLock } from '../../../src/filesystem/process-lock.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { changeList, collect, createFixture, runUserGit } from './git-fixture.ts'

const backendFile = new URL('../../../src/snapshot/git/open-git-backend.ts', import.meta.url).href

describe('a snapshot', () => {
  it("neither waits for the user's index.lock nor takes it (case 74)", async () => {
    const { path, write, open, git } = createFixture()
    write('a.txt', 'edited\n')
    const index = readFileSync(join(path, '.git/index'))
    writeFileSync(join(path, '.git/index.lock'), 'held by the user')
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    write('a.txt', 'again\n')
    expect((await backend.rollback(before)).verified).toBe(true)
    expect(readFileSync(join(path, '.git/index'))).toEqual(index)
    expect(readFileSync(join(path, '.git/index.lock'), 'utf8')).toBe('held by the user')
    rmSync(join(path, '.git/index.lock'))
    expect(git('status', '--porcelain').trim()).toBe('M a.txt')
  })

  it('that waits for another one can be aborted, and the next one works (case 76)', async () => {
    const { open, stateDirectory } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'x' })
    const lock = await acquireProcessLock(join(stateDirectory, 'git'), 'capture')
    const controller = new AbortController()
    const waiting = [
      backend.capture({ label: 'x', signal: controller.signal }),
      backend.rollback(before, { signal: controller.signal }),
    ].map((call) => call.catch((error: unknown) => error))
    controller.abort(new Error('enough'))
    expect(await Promise.all(waiting)).toEqual([new Error('enough'), new Error('enough')])
    await lock.release()
    expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)
  })

  it('of a repository, of its linked worktrees and of its submodule may be taken at the same time (case 84)', async () => {
    const { path, outside, git, stateDirectory } = createFixture()
    runUserGit(outside, 'init', '-q', '-b', 'main', 'library')
    writeFileSync(join(outside, 'library/l.txt'), 'library\n')
    runUserGit(join(outside, 'library'), 'add', '-A')
    runUserGit(join(outside, 'library'), 'commit', '-q', '-m', 'library')
    git('-c', 'protocol.file.allow=always', 'submodule', '--quiet', 'add', join(outside, 'library'), 'sub')
    git('commit', '-q', '-m', 'submodule')
    for (const name of ['one', 'two']) git('worktree', 'add', '-q', '-b', name, join(outside, name))
    const places = [path, join(path, 'sub'), join(outside, 'one'), join(outside, 'two')]
    const snapshots = await Promise.all(
      places.flatMap((place, index) =>
        [0, 1].map(async () => {
          const backend = await openGitBackend({
            path: place,
            stateDirectory: join(stateDirectory, `${index}`),
          })
          return backend?.capture({ label: 'x' })
        }),
      ),
    )
    expect(snapshots.map((snapshot) => snapshot?.path)).toEqual(places.flatMap((place) => [place, place]))
    for (const [index] of places.entries())
      expect(snapshots[2 * index]?.ref).toBe(snapshots[2 * index + 1]?.ref)
  })

  it('of an unchanged workspace opens none of its files, on a slow disk each costs (case 85)', async () => {
    const fixture = createFixture()
    for (let number = 0; number < 50; number += 1) fixture.write(`many/${number}`, `${number}`)
    // Files that are younger than the listing are read again, for a clock may not tell two writes apart.
    const old = new Date(Date.now() - 60_000)
    for (let number = 0; number < 50; number += 1) utimesSync(join(fixture.path, `many/${number}`), old, old)
    const program = `
      const fs = (await import('node:fs')).default
      const { syncBuiltinESMExports } = await import('node:module')
      const { setTimeout: sleep } = await import('node:timers/promises')
      const opened = []
      for (const name of ['openSync', 'readFileSync']) {
        const original = fs[name]
        fs[name] = (path, ...rest) => {
          if (String(path).includes('/many/')) opened.push(String(path))
          return original(path, ...rest)
        }
      }
      syncBuiltinESMExports()
      const { openGitBackend } = await import(${JSON.stringify(backendFile)})
      const backend = await openGitBackend(${JSON.stringify({ path: fixture.path, stateDirectory: fixture.stateDirectory })})
      const first = await backend.capture({ label: 'x' })
      const firstOpened = opened.length
      let last
      do {
        await sleep(500)
        opened.length = 0
        last = await backend.capture({ label: 'x' })
      } while (opened.length > 0)
      console.log(JSON.stringify({ firstOpened, isSame: first.ref === last.ref }))`
    const child = spawn(process.execPath, ['--conditions=@ws/source', '--input-type=module', '-e', program], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    let text = ''
    child.stdout.on('data', (chunk: Buffer) => (text += chunk.toString()))
    await once(child, 'close')
    const { firstOpened, isSame } = JSON.parse(text) as { firstOpened: number; isSame: boolean }
    expect(firstOpened).toBeGreaterThanOrEqual(50)
    expect(isSame).toBe(true)
  })

  it('sees what other programs did, however much at once: it relies on no watcher (cases 87, 88, 95)', async () => {
    const { path, write, open, git } = createFixture()
    for (let number = 0; number < 2000; number += 1) write(`d${number % 40}/f${number}`, `${number}`)
    git('add', '-A')
    git('commit', '-q', '-m', 'many')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    git('rm', '-q', '-r', 'd1', 'd2')
    git('commit', '-q', '-m', 'fewer')
    execFileSync('sh', ['-c', 'for f in d3/*; do echo more >> $f; done; mv d4 moved; rm -r d5'], {
      cwd: path,
    })
    const after = await backend.capture({ label: 'after', previous: before })
    const changes = await changeList(backend, before, after)
    expect(changes.filter((line) => /^deleted d[1245]\//.test(line))).toHaveLength(200)
    expect(changes.filter((line) => line.startsWith('modified d3/'))).toHaveLength(50)
    expect(changes.filter((line) => line.startsWith('added moved/'))).toHaveLength(50)
    expect(changes).toHaveLength(300)
  })

  it('has untracked files in its diff and patch (case 93)', async () => {
    const { path, write, open } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('new/deep/file.txt', 'untracked\n')
    renameSync(join(path, 'a.txt'), join(path, 'b.txt'))
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await changeList(backend, before, after)).toEqual([
      'deleted a.txt',
      'added b.txt',
      'added new/deep/file.txt',
    ])
    expect((await collect(backend.patch(before, after))).toString()).toContain('+untracked')
  })

  it('does not look at what is listed in megabytes as if it were cut (case 86)', async () => {
    const { open, write, path } = createFixture()
    const name = 'n'.repeat(200)
    mkdirSync(join(path, name))
    for (let number = 0; number < 6000; number += 1) writeFileSync(join(path, name, `${name}${number}`), '')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    expect(before.metadata.entries).toBe(6002)
    write('a.txt', `${'long line '.repeat(200_000)}\n`)
    rmSync(join(path, name), { recursive: true })
    const after = await backend.capture({ label: 'after', previous: before })
    expect(await backend.changes(before, after)).toHaveLength(6001)
    expect((await collect(backend.patch(before, after))).length).toBeGreaterThan(3_000_000)
  })
})
