import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { applyEdit, edit } from '../agreement/apply-edits.ts'
import { createFixture, describeTree } from './bundle-fixture.ts'

/** A workspace with something of each kind, and an agent that spoils all of it. */
function prepare() {
  const fixture = createFixture()
  const { write, path } = fixture
  write('secret.env', 'KEY=1', 0o600)
  write('run.sh', '#!/bin/sh\n', 0o755)
  write('group.txt', 'group', 0o664)
  write('dir/deep/file.bin', Buffer.from([0, 1, 2, 255, 13, 10]))
  write('large.bin', Buffer.from(Array.from({ length: 400_000 }, (_, at) => (at * at) % 251)))
  write('.git/config', 'of the user')
  chmodSync(join(path, 'dir/deep'), 0o750)
  symlinkSync('a.txt', join(path, 'link'))
  mkdirSync(join(path, 'empty/inner'), { recursive: true })
  chmodSync(join(path, 'empty/inner'), 0o700)
  execFileSync('sh', ['-c', 'printf x > "$(printf \'odd\\377\')"'], { cwd: path })
  const spoil = () => {
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
    write('large.bin', 'short')
    unlinkSync(join(path, 'src/b.txt'))
    symlinkSync('../a.txt', join(path, 'src/b.txt'))
    execFileSync('sh', ['-c', 'rm odd*'], { cwd: path })
  }
  return { ...fixture, spoil }
}

function runDisturbed(
  path: string,
  stateDirectory: string,
  target: Snapshot,
  disturbance: 'kill' | 'meddle',
  count: number,
) {
  const script = fileURLToPath(new URL('disturbed-rollback.ts', import.meta.url))
  const parameters = [path, stateDirectory, JSON.stringify(target), disturbance, `${count}`]
  return spawnSync(process.execPath, ['--conditions=@ws/source', script, ...parameters], { encoding: 'utf8' })
}

describe('a rollback', () => {
  it('brings back content, names, types, all modes and empty directories, and proves it', async () => {
    const { open, path, spoil } = prepare()
    const backend = await open()
    const original = describeTree(path)
    const before = await backend.capture({ label: 'before' })
    spoil()
    const result = await backend.rollback(before)
    expect(describeTree(path)).toEqual(original)
    expect(result.verified).toBe(true)
    expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)
  })

  it('can be undone, and the undo too, by rolling back to the guard', async () => {
    const { open, path, spoil } = prepare()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    spoil()
    const spoilt = describeTree(path)
    const first = await backend.rollback(before)
    const second = await backend.rollback(first.guard!)
    expect(describeTree(path)).toEqual(spoilt)
    expect((await backend.rollback(second.guard!)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
  })

  it('says in a dry run exactly what it will do, and does nothing', async () => {
    const { open, path, spoil } = prepare()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    spoil()
    const spoilt = describeTree(path)
    const dry = await backend.rollback(before, { dryRun: true })
    expect(describeTree(path)).toEqual(spoilt)
    const real = await backend.rollback(before)
    expect({ ...real, dryRun: true, guard: null, verified: false }).toEqual(dry)
    expect(dry.deleted).toEqual(['dir', 'link/inside', 'new-empty', 'new/deeply/made.txt'])
    expect(dry.restored).toEqual([
      'a.txt',
      'dir/deep/file.bin',
      'empty/inner',
      'large.bin',
      'link',
      'odd\udcff',
      'run.sh',
      'secret.env',
      'src',
      'src/b.txt',
    ])
  })

  it('leaves unchanged files alone, and gives restored ones their times', async () => {
    const { open, path, spoil } = prepare()
    utimesSync(join(path, 'a.txt'), 1_700_000_000.123456, 1_700_000_000.123456)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    spoil()
    const stamp = () => {
      const { ino, mtimeNs, ctimeNs } = lstatSync(join(path, 'group.txt'), { bigint: true })
      return [ino, mtimeNs, ctimeNs]
    }
    const untouched = stamp()
    await backend.rollback(before)
    expect(stamp()).toEqual(untouched)
    expect(lstatSync(join(path, 'a.txt'), { bigint: true }).mtimeNs / 1000n).toBe(1_700_000_000_123_456n)
  })

  it('makes hard links again among the files that it writes', async () => {
    const { open, path, write } = createFixture()
    write('one', 'shared')
    linkSync(join(path, 'one'), join(path, 'src/two'))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const name of ['one', 'src/two']) {
      unlinkSync(join(path, name))
      write(name, 'apart')
    }
    await backend.rollback(before)
    expect(statSync(join(path, 'one')).ino).toBe(statSync(join(path, 'src/two')).ino)
  })

  it('never touches what is in a .git, also one that the agent made', async () => {
    const { open, path, write } = createFixture()
    write('.git/HEAD', 'user')
    write('lib/.git/HEAD', 'user')
    write('lib/code.c', 'x')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('.git/HEAD', 'agent')
    write('cloned/.git/HEAD', 'agent')
    write('cloned/file', 'agent')
    rmSync(join(path, 'lib/code.c'))
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ restored: ['lib/code.c'], deleted: ['cloned/file'], verified: true })
    expect(readFileSync(join(path, '.git/HEAD'), 'utf8')).toBe('agent')
    expect(readFileSync(join(path, 'cloned/.git/HEAD'), 'utf8')).toBe('agent')
    expect((await backend.rollback(result.guard!)).verified).toBe(true)
  })

  it('follows the rules of the target, whatever rules it is called with', async () => {
    const { open, path, write } = createFixture()
    const before = await (await open({ ignore: { paths: ['cache'] } })).capture({ label: 'before' })
    write('cache/later', 'precious')
    write('made', 'x')
    const result = await (await open()).rollback(before)
    expect(result).toMatchObject({ deleted: ['made'], verified: true })
    expect(existsSync(join(path, 'cache/later'))).toBe(true)
  })

  it('deletes nothing that the target could not capture', async () => {
    const { open, path, write } = createFixture()
    execFileSync('mkfifo', [join(path, 'pipe')])
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    unlinkSync(join(path, 'pipe'))
    write('pipe', 'a file now')
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ restored: [], deleted: [], verified: true })
    expect(readFileSync(join(path, 'pipe'), 'utf8')).toBe('a file now')
  })

  it('restores only the named paths', async () => {
    const { open, read, write, path } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'changed')
    write('src/b.txt', 'changed')
    write('src/new.txt', 'new')
    write('srcs', 'new')
    const result = await backend.rollback(before, { paths: ['./src/'] })
    expect(result).toMatchObject({ restored: ['src/b.txt'], deleted: ['src/new.txt'], verified: true })
    expect(read('a.txt')).toBe('changed')
    expect(existsSync(join(path, 'srcs'))).toBe(true)
    for (const bad of ['../x', '/etc', 'src/../../x'])
      await expect(backend.rollback(before, { paths: [bad] })).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
  })

  it('brings any state back from any other, and again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { maxLength: 8 }),
        fc.array(edit, { minLength: 1, maxLength: 8 }),
        async (first, second) => {
          const { path, open } = createFixture()
          for (const step of first) applyEdit(path, step)
          const backend = await open()
          const before = await backend.capture({ label: 'before' })
          const original = describeTree(path)
          for (const step of second) applyEdit(path, step)
          const spoilt = describeTree(path)
          const result = await backend.rollback(before)
          expect(describeTree(path)).toEqual(original)
          await backend.rollback(result.guard!)
          expect(describeTree(path)).toEqual(spoilt)
        },
      ),
      { numRuns: 30 },
    )
  })

  it('works for an owner without privileges, also in directories that forbid writing', async () => {
    const { path, stateDirectory, write } = createFixture()
    write('closed/file', 'kept')
    chmodSync(join(path, 'closed'), 0o555)
    const original = describeTree(path)
    const base = join(path, '..')
    if (process.getuid?.() === 0) execFileSync('chown', ['-R', '65534:65534', base])
    chmodSync(base, 0o755)
    const script = `
      import { chmodSync, writeFileSync, rmSync } from 'node:fs'
      import { openBundleBackend } from ${JSON.stringify(new URL('../../../src/snapshot/bundle/open-bundle-backend.ts', import.meta.url).href)}
      const [path, stateDirectory] = process.argv.slice(1)
      const backend = await openBundleBackend({ path, stateDirectory })
      const before = await backend.capture({ label: 'x' })
      chmodSync(path + '/closed', 0o755)
      writeFileSync(path + '/closed/file', 'spoilt')
      writeFileSync(path + '/closed/new', 'new')
      chmodSync(path + '/closed', 0o555)
      const result = await backend.rollback(before)
      process.stdout.write(JSON.stringify([result.restored, result.deleted, result.verified]))`
    const child = spawnSync(
      process.execPath,
      ['--conditions=@ws/source', '--input-type=module', '-e', script, path, stateDirectory],
      { encoding: 'utf8', ...(process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}) },
    )
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toEqual([['closed/file'], ['closed/new'], true])
    expect(describeTree(path)).toEqual(original)
    chmodSync(join(path, 'closed'), 0o755)
  })
})

describe('edits that somebody else made', () => {
  async function withForeignEdit() {
    const fixture = createFixture()
    const backend = await fixture.open()
    const before = await backend.capture({ label: 'before' })
    fixture.write('a.txt', 'agent\n')
    fixture.write('src/b.txt', 'agent\n')
    const after = await backend.capture({ label: 'after', previous: before })
    fixture.write('a.txt', 'user\n')
    fixture.write('user.txt', 'user\n')
    return { ...fixture, backend, before, after }
  }

  it('stop the rollback, with their names, and nothing is touched', async () => {
    const { backend, before, after, path } = await withForeignEdit()
    const state = describeTree(path)
    const failure = await backend.rollback(before, { expected: after }).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'CONFLICT', details: { paths: ['a.txt', 'user.txt'] } })
    expect(describeTree(path)).toEqual(state)
  })

  it('stay on request, and are listed', async () => {
    const { backend, before, after, read } = await withForeignEdit()
    const result = await backend.rollback(before, { expected: after, onForeignEdits: 'keep' })
    expect(result).toMatchObject({
      kept: ['a.txt', 'user.txt'],
      restored: ['src/b.txt'],
      deleted: [],
      verified: true,
    })
    expect([read('a.txt'), read('src/b.txt'), read('user.txt')]).toEqual(['user\n', 'three\n', 'user\n'])
  })

  it('go on request, and are in the guard', async () => {
    const { backend, before, after, read } = await withForeignEdit()
    const result = await backend.rollback(before, { expected: after, onForeignEdits: 'overwrite' })
    expect(result).toMatchObject({
      restored: ['a.txt', 'src/b.txt'],
      deleted: ['user.txt'],
      kept: [],
      verified: true,
    })
    await backend.rollback(result.guard!)
    expect([read('a.txt'), read('user.txt')]).toEqual(['user\n', 'user\n'])
  })
})

describe('what is in the way', () => {
  it('is never written through: a directory that became a link to another place', async () => {
    const { open, path, outside, write, read } = createFixture()
    write('src/c.txt', 'c\n')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const name of ['b.txt', 'c.txt', 'd.txt']) writeFileSync(join(outside, name), 'victim')
    const victims = describeTree(outside)
    rmSync(join(path, 'src'), { recursive: true })
    symlinkSync(outside, join(path, 'src'))
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ restored: ['src/b.txt', 'src/c.txt'], deleted: ['src'], verified: true })
    expect(read('src/b.txt')).toBe('three\n')
    expect(describeTree(outside)).toEqual(victims)
    await backend.rollback(result.guard!)
    expect(lstatSync(join(path, 'src')).isSymbolicLink()).toBe(true)
    expect(describeTree(outside)).toEqual(victims)
  })

  it.each([
    [
      'a repository',
      (path: string) => {
        unlinkSync(join(path, 'a.txt'))
        mkdirSync(join(path, 'a.txt/.git'), { recursive: true })
      },
      'a.txt/.git',
    ],
    [
      'a pipe',
      (path: string) => {
        unlinkSync(join(path, 'a.txt'))
        execFileSync('mkfifo', [join(path, 'a.txt')])
      },
      'a.txt',
    ],
    [
      'a pipe above',
      (path: string) => {
        rmSync(join(path, 'src'), { recursive: true })
        execFileSync('mkfifo', [join(path, 'src')])
      },
      'src',
    ],
  ])('stops the rollback before anything is touched: %s', async (_name, obstruct, named) => {
    const { open, path, write } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('zoo.txt', 'made')
    obstruct(path)
    const state = describeTree(path)
    for (const dryRun of [true, false]) {
      await expect(backend.rollback(before, { dryRun })).rejects.toMatchObject({
        code: 'CONFLICT',
        details: { paths: [named] },
      })
    }
    expect(describeTree(path)).toEqual(state)
  })
})

describe('a rollback that fails on the way', () => {
  it('brings the state before it back when the content of the target is damaged', async () => {
    const { open, path, write, stateDirectory } = createFixture()
    write('big.bin', Buffer.from(Array.from({ length: 100_000 }, (_, at) => (at * at * 7) % 251)))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'agent')
    write('new.txt', 'agent')
    unlinkSync(join(path, 'big.bin'))
    const packs = join(stateDirectory, 'bundle/store/packs')
    const [pack = ''] = readdirSync(packs)
    const kept = readFileSync(join(packs, pack))
    const damaged = Buffer.from(kept)
    for (let at = 40; at < 90; at += 1) damaged[at] = ~(damaged[at] ?? 0)
    writeFileSync(join(packs, pack), damaged)
    const state = describeTree(path)
    await expect(backend.rollback(before)).rejects.toMatchObject({ code: 'CORRUPT' })
    expect(describeTree(path)).toEqual(state)
    writeFileSync(join(packs, pack), kept)
    expect((await backend.rollback(before)).verified).toBe(true)
  })

  it('brings the state before it back when it is aborted', async () => {
    const { open, path, spoil } = prepare()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    spoil()
    const state = describeTree(path)
    const controller = new AbortController()
    let asked = 0
    const { signal } = controller
    // The signal is looked at before each file that is written; it fires at the third.
    const counting = new Proxy(signal, {
      get(target, name) {
        if (name === 'throwIfAborted' && existsSync(join(path, 'dir/deep'))) {
          asked += 1
          if (asked === 3) controller.abort(new Error('enough'))
        }
        const value: unknown = Reflect.get(target, name, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    await expect(backend.rollback(before, { signal: counting })).rejects.toThrow('enough')
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(describeTree(path)).toEqual(state)
  })

  it('does not trust what it wrote: what is otherwise in the capture afterwards undoes the rollback', async () => {
    const { open, path, stateDirectory, write } = createFixture()
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'agent')
    write('new.txt', 'agent')
    unlinkSync(join(path, 'src/b.txt'))
    const state = describeTree(path)
    const child = runDisturbed(path, stateDirectory, before, 'meddle', 1)
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toMatchObject({ code: 'CONFLICT', details: { paths: ['a.txt'] } })
    expect(describeTree(path)).toEqual(state)
    expect((await backend.rollback(before)).verified).toBe(true)
  })

  it('leaves nothing half-written behind when it is killed, and the next one completes', async () => {
    const { open, path, stateDirectory, write } = createFixture()
    for (let number = 0; number < 300; number += 1) write(`many/${number}`, `${number}\n`.repeat(50))
    const backend = await open()
    const original = describeTree(path)
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'many'), { recursive: true })
    write('a.txt', 'agent')
    const child = runDisturbed(path, stateDirectory, before, 'kill', 100)
    expect(child.signal).toBe('SIGKILL')
    expect(readdirSync(join(path, 'many')).some((name) => name.startsWith('.ws-rollback-'))).toBe(true)
    await backend.capture({ label: 'after the crash' })
    expect(readdirSync(join(path, 'many')).filter((name) => name.startsWith('.ws-rollback-'))).toEqual([])
    const result = await backend.rollback(before)
    expect(result.verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
  })
})
