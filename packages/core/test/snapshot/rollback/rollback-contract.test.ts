import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { readJournal } from '../../../src/snapshot/rollback/rollback-journal.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { applyEdit, edit } from '../agreement/apply-edits.ts'
import { backends, createRollbackFixture, describeTree, type BackendName } from './rollback-fixture.ts'
import { fillWithEachKind } from './spoilt-workspace.ts'

function prepare(name: BackendName) {
  const fixture = createRollbackFixture(name)
  return { ...fixture, spoil: fillWithEachKind(fixture) }
}

describe.each(backends)('a rollback by %s', (name) => {
  it('brings back content, names, types, modes and empty directories, removes what was made, and proves it (cases 24, 25, 43, 52)', async () => {
    const { open, path, spoil } = prepare(name)
    const backend = await open()
    const original = describeTree(path)
    const before = await backend.capture({ label: 'before' })
    spoil()
    const after = await backend.capture({ label: 'after', previous: before })
    const result = await backend.rollback(before, { expected: after })
    expect(describeTree(path)).toEqual(original)
    expect(result).toMatchObject({ verified: true, dryRun: false, kept: [], merged: [], appeared: [] })
    expect(result).toMatchObject({ targetRef: before.ref, recovery: null })
    expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)
  })

  it('brings back what was behind a link whose text is longer than any path, and the link (cases 28, 52)', async () => {
    const { open, path, write } = prepare(name)
    write('dir/.gitignore', 'ignored\n')
    const backend = await open()
    const original = describeTree(path)
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'dir'), { recursive: true })
    symlinkSync('x'.repeat(4000), join(path, 'dir'))
    const spoilt = describeTree(path)
    const after = await backend.capture({ label: 'after', previous: before })
    const { guard } = await backend.rollback(before, { expected: after })
    expect(describeTree(path)).toEqual(original)
    await backend.rollback(guard as Snapshot)
    expect(describeTree(path)).toEqual(spoilt)
  })

  it('neither holds nor touches .git in another case, wherever it was made (cases 29, 41)', async () => {
    const { open, path, read, write } = prepare(name)
    write('.GIT/config', 'x')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    expect(before.coverage.examples).toContainEqual({ path: '.GIT', reason: 'unsupported-name' })
    write('.GIT/config', 'y')
    write('.Git', 'made')
    write('src/.giT', 'made')
    write('made/.gIt', 'made')
    write('made/file', 'made')
    const after = await backend.capture({ label: 'after', previous: before })
    const { deleted } = await backend.rollback(before, { expected: after })
    expect(deleted).toEqual(['made/file'])
    expect(['.GIT/config', '.Git', 'src/.giT', 'made/.gIt'].map(read)).toEqual(['y', 'made', 'made', 'made'])
    expect(existsSync(join(path, 'made/file'))).toBe(false)
  })

  it('can be undone, and the undo too, any number of times (case 60)', async () => {
    const { open, path, spoil } = prepare(name)
    const backend = await open()
    let target = await backend.capture({ label: 'before' })
    const states = [describeTree(path)]
    spoil()
    states.push(describeTree(path))
    for (let round = 0; round < 6; round += 1) {
      const { guard, verified } = await backend.rollback(target)
      expect(verified).toBe(true)
      expect(describeTree(path)).toEqual(states[round % 2])
      target = guard as Snapshot
    }
  })

  it('says in a dry run exactly what it will do, with sizes and reasons, and does nothing (case 98)', async () => {
    const { open, path, spoil } = prepare(name)
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
      'dos.txt',
      'empty/inner',
      'large.bin',
      'link',
      'odd\udcff',
      'run.sh',
      'secret.env',
      'src',
      'src/b.txt',
    ])
    expect(dry.steps.map(({ path: step }) => step)).toEqual([...dry.restored, ...dry.deleted].toSorted())
    const step = (wanted: string) => dry.steps.find((each) => each.path === wanted)
    expect(step('large.bin')).toEqual({
      path: 'large.bin',
      action: 'replace',
      reason: 'content-differs',
      isForeignEdit: false,
      before: { type: 'file', mode: 0o644, size: 5 },
      after: { type: 'file', mode: 0o644, size: 400_000 },
    })
    expect(step('new/deeply/made.txt')).toMatchObject({
      action: 'delete',
      reason: 'not-in-target',
      before: { size: 4 },
      after: null,
    })
    expect(step('odd\udcff')).toMatchObject({ action: 'create', reason: 'missing', before: null })
    expect(step('run.sh')).toMatchObject({ action: 'change-mode', after: { mode: 0o755 } })
    expect(step('src/b.txt')).toMatchObject({ reason: 'type-differs', before: { type: 'symlink', size: 8 } })
  })

  it('leaves unchanged files alone: same inode, same times (case 58)', async () => {
    const { open, path, spoil } = prepare(name)
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
  })

  it('brings back the modes of directories, of deleted ones too, also for a path below them alone (case 25)', async () => {
    const { open, path, write } = createRollbackFixture(name)
    write('closed/in/c.txt', 'c')
    write('closed/in/d.txt', 'd')
    chmodSync(join(path, 'closed/in'), 0o750)
    chmodSync(join(path, 'closed'), 0o700)
    const modes = () => ['closed', 'closed/in', 'src'].map((each) => lstatSync(join(path, each)).mode & 0o777)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'closed'), { recursive: true })
    chmodSync(join(path, 'src'), 0o770)
    const one = await backend.rollback(before, { paths: ['closed/in/c.txt'] })
    expect(one).toMatchObject({ restored: ['closed/in/c.txt'], verified: true })
    expect(modes()).toEqual([0o700, 0o750, 0o770])
    const all = await backend.rollback(before)
    expect(all).toMatchObject({ restored: ['closed/in/d.txt', 'src'], verified: true })
    expect(modes()).toEqual([0o700, 0o750, 0o755])
  })

  it('brings back the mode of the workspace itself, which is `.` in the result, unless other paths are named', async () => {
    const { open, path } = createRollbackFixture(name)
    const mode = () => lstatSync(path).mode & 0o7777
    const backend = await open()
    chmodSync(path, 0o750)
    const before = await backend.capture({ label: 'before' })
    chmodSync(path, 0o1777)
    const after = await backend.capture({ label: 'after' })
    expect(after.ref).not.toBe(before.ref)
    expect(await backend.changes(before, after)).toEqual([])

    const other = await backend.rollback(before, { paths: ['a.txt'] })
    expect([other.restored, mode()]).toEqual([[], 0o1777])
    const preview = await backend.rollback(before, { dryRun: true })
    expect(preview.steps).toMatchObject([
      { path: '.', action: 'change-mode', before: { mode: 0o1777 }, after: { mode: 0o750 } },
    ])
    const all = await backend.rollback(before, { expected: after })
    expect([all.restored, all.verified, mode()]).toEqual([['.'], true, 0o750])
    if (all.guard !== null) await backend.rollback(all.guard)
    expect(mode()).toBe(0o1777)

    chmodSync(path, 0o700)
    await expect(backend.rollback(before, { expected: after })).rejects.toMatchObject({
      code: 'CONFLICT',
      details: { paths: ['.'] },
    })
    expect(mode()).toBe(0o700)
  })

  it('restores only the named paths, and refuses those that lead out (case 51)', async () => {
    const { open, read, write, path } = createRollbackFixture(name)
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

  it('takes named paths literally: what looks like a pattern matches nothing else (case 47)', async () => {
    const { open, read, write } = createRollbackFixture(name)
    write('app/i/p', 'of the user')
    write('x*', 'star')
    write('xy', 'other')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const file of ['app/i/p', 'x*', 'xy', 'a.txt']) write(file, 'changed')
    write('app/[id]/p', 'made')
    const result = await backend.rollback(before, { paths: ['app/[id]/p', 'x*', ':(top)a.txt'] })
    expect(result).toMatchObject({ restored: ['x*'], deleted: ['app/[id]/p'], verified: true })
    expect(['app/i/p', 'xy', 'a.txt'].map(read)).toEqual(['changed', 'changed', 'changed'])
  })

  it('restores the other named paths when one of them is nowhere, and says which (case 48)', async () => {
    const { open, path, read, write } = createRollbackFixture(name)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'changed')
    const paths = ['never/was', 'a.txt', './src', 'a.txt/below', 'pipe', 'x'.repeat(300), '']
    execFileSync('mkfifo', [join(path, 'pipe')])
    const unmatched = ['never/was', 'a.txt/below', 'pipe', 'x'.repeat(300)]
    const preview = await backend.rollback(before, { paths, dryRun: true })
    expect(preview).toMatchObject({ restored: ['a.txt'], unmatched })
    const result = await backend.rollback(before, { paths })
    expect(result).toMatchObject({ restored: ['a.txt'], deleted: [], unmatched, verified: true })
    expect(read('a.txt')).toBe('one\ntwo\n')
    expect(await backend.rollback(before)).toMatchObject({ restored: [], unmatched: [] })
  })

  it('deletes nothing that could not be captured, in a directory that the agent made either (case 41)', async () => {
    const { open, path, write } = createRollbackFixture(name)
    execFileSync('mkfifo', [join(path, 'pipe')])
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    unlinkSync(join(path, 'pipe'))
    write('pipe', 'a file now')
    write('made/deep/x.txt', 'made')
    execFileSync('mkfifo', [join(path, 'made/deep/special')])
    write('other/deep/y.txt', 'made')
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ deleted: ['made/deep/x.txt', 'other/deep/y.txt'], verified: true })
    expect(readFileSync(join(path, 'pipe'), 'utf8')).toBe('a file now')
    expect(existsSync(join(path, 'made/deep/special'))).toBe(true)
    expect(existsSync(join(path, 'other'))).toBe(false)
  })

  it('never touches what is in a .git of another repository', async () => {
    const { open, path, write } = createRollbackFixture(name)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('cloned/.git/HEAD', 'agent')
    write('zoo.txt', 'made')
    await backend.rollback(before)
    expect(readFileSync(join(path, 'cloned/.git/HEAD'), 'utf8')).toBe('agent')
    expect(existsSync(join(path, 'zoo.txt'))).toBe(false)
  })

  it('brings any state back from any other, and again', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(edit, { maxLength: 8 }),
        fc.array(edit, { minLength: 1, maxLength: 8 }),
        async (first, second) => {
          const { path, open } = createRollbackFixture(name)
          for (const step of first) applyEdit(path, step)
          const backend = await open()
          const before = await backend.capture({ label: 'before' })
          const original = describeTree(path)
          for (const step of second) applyEdit(path, step)
          const spoilt = describeTree(path)
          const result = await backend.rollback(before)
          expect(describeTree(path)).toEqual(original)
          await backend.rollback(result.guard as Snapshot)
          expect(describeTree(path)).toEqual(spoilt)
        },
      ),
      { numRuns: name === 'git' ? 15 : 25 },
    )
  })
})

describe.each(backends)('edits that somebody else made before a rollback by %s', (name) => {
  async function withForeignEdit() {
    const fixture = createRollbackFixture(name)
    const backend = await fixture.open()
    const before = await backend.capture({ label: 'before' })
    fixture.write('a.txt', 'agent\n')
    fixture.write('src/b.txt', 'agent\n')
    const after = await backend.capture({ label: 'after', previous: before })
    fixture.write('a.txt', 'user\n')
    fixture.write('user.txt', 'user\n')
    return { ...fixture, backend, before, after }
  }

  it('stop it, with their names, and nothing is touched (case 55)', async () => {
    const { backend, before, after, path } = await withForeignEdit()
    const state = describeTree(path)
    const failure = await backend.rollback(before, { expected: after }).catch((error: unknown) => error)
    expect(failure).toMatchObject({ code: 'CONFLICT', details: { paths: ['a.txt', 'user.txt'] } })
    expect(describeTree(path)).toEqual(state)
  })

  it('stay on request, and are listed', async () => {
    const { backend, before, after, read } = await withForeignEdit()
    const result = await backend.rollback(before, { expected: after, onForeignEdits: 'keep' })
    expect(result).toMatchObject({ kept: ['a.txt', 'user.txt'], restored: ['src/b.txt'], deleted: [] })
    expect(result.verified).toBe(true)
    expect([read('a.txt'), read('src/b.txt'), read('user.txt')]).toEqual(['user\n', 'three\n', 'user\n'])
  })

  it('go on request, are marked in the steps, and are in the guard', async () => {
    const { backend, before, after, read } = await withForeignEdit()
    const result = await backend.rollback(before, { expected: after, onForeignEdits: 'overwrite' })
    expect(result).toMatchObject({ restored: ['a.txt', 'src/b.txt'], deleted: ['user.txt'], kept: [] })
    expect(result.steps.map(({ isForeignEdit }) => isForeignEdit)).toEqual([true, false, true])
    await backend.rollback(result.guard as Snapshot)
    expect([read('a.txt'), read('user.txt')]).toEqual(['user\n', 'user\n'])
  })

  const lines = Array.from({ length: 12 }, (_, at) => `line ${at}`)
  const text = (changes: Record<number, string>, end = '\n'): string =>
    lines.map((line, at) => (changes[at] ?? line) + end).join('')

  it('are merged on request: the agent’s lines go, theirs stay, byte for byte and with the mode that either changed', async () => {
    const { open, write, read, path } = createRollbackFixture(name)
    write('code.txt', text({}))
    write('dos.txt', text({}, '\r\n'))
    write('latin.txt', Buffer.from(text({ 3: 'caf\u00e9' }), 'latin1'))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('code.txt', text({ 1: 'agent' }), 0o755)
    write('dos.txt', text({ 1: 'agent' }, '\r\n'))
    write('latin.txt', Buffer.from(text({ 1: 'agent', 3: 'caf\u00e9' }), 'latin1'))
    write('only-agent.txt', 'agent')
    const after = await backend.capture({ label: 'after', previous: before })
    write('code.txt', text({ 1: 'agent', 9: 'user' }), 0o755)
    write('dos.txt', text({ 1: 'agent', 9: 'user' }, '\r\n'))
    write('latin.txt', Buffer.from(text({ 1: 'agent', 3: 'caf\u00e9', 9: 'user' }), 'latin1'))
    write('user.txt', 'user\n')
    const spoilt = describeTree(path)
    const options = { expected: after, onForeignEdits: 'merge' } as const
    const dry = await backend.rollback(before, { ...options, dryRun: true })
    expect(describeTree(path)).toEqual(spoilt)
    const result = await backend.rollback(before, options)
    expect(result).toMatchObject({
      merged: ['code.txt', 'dos.txt', 'latin.txt'],
      kept: ['user.txt'],
      deleted: ['only-agent.txt'],
      verified: true,
    })
    expect(dry.steps).toEqual(result.steps)
    expect(result.steps[0]).toMatchObject({ action: 'merge', isForeignEdit: true, after: { mode: 0o644 } })
    expect(read('code.txt')).toBe(text({ 9: 'user' }))
    expect(lstatSync(join(path, 'code.txt')).mode & 0o777).toBe(0o644)
    expect(read('dos.txt')).toBe(text({ 9: 'user' }, '\r\n'))
    expect(read('latin.txt')).toBe(text({ 3: 'caf\u00e9', 9: 'user' }))
    await backend.rollback(result.guard as Snapshot)
    expect(describeTree(path)).toEqual(spoilt)
  })

  it('that cannot be merged stop it with their names and reasons, and nothing is touched: same lines, binary, deleted', async () => {
    const { open, write, path } = createRollbackFixture(name)
    write('same.txt', text({}))
    write('fine.txt', text({}))
    write('picture.bin', Buffer.from([0, 1, 2, 3]))
    write('gone.txt', 'here\n')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('same.txt', text({ 4: 'agent' }))
    write('fine.txt', text({ 4: 'agent' }))
    write('picture.bin', Buffer.from([0, 1, 2, 4]))
    write('gone.txt', 'agent\n')
    const after = await backend.capture({ label: 'after', previous: before })
    write('same.txt', text({ 4: 'user' }))
    write('fine.txt', text({ 4: 'agent', 11: 'user' }))
    write('picture.bin', Buffer.from([0, 1, 2, 5]))
    unlinkSync(join(path, 'gone.txt'))
    const spoilt = describeTree(path)
    const failure = await backend
      .rollback(before, { expected: after, onForeignEdits: 'merge' })
      .catch((error: unknown) => error)
    expect(failure).toMatchObject({
      code: 'CONFLICT',
      details: {
        paths: ['gone.txt', 'picture.bin', 'same.txt'],
        reasons: ['made or removed on one side', 'binary', 'both changed the same lines'],
      },
    })
    expect(describeTree(path)).toEqual(spoilt)
  })
})

describe.each(backends)('what is in the way of a rollback by %s', (name) => {
  it('is never written through: a directory that became a link to another place (case 50)', async () => {
    const { open, path, outside, write, read } = createRollbackFixture(name)
    write('src/c.txt', 'c\n')
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (const file of ['b.txt', 'c.txt', 'd.txt']) writeFileSync(join(outside, file), 'victim')
    const victims = describeTree(outside)
    rmSync(join(path, 'src'), { recursive: true })
    symlinkSync(outside, join(path, 'src'))
    const result = await backend.rollback(before)
    expect(result).toMatchObject({ restored: ['src/b.txt', 'src/c.txt'], deleted: ['src'], verified: true })
    expect(lstatSync(join(path, 'src')).isDirectory()).toBe(true)
    expect(read('src/b.txt')).toBe('three\n')
    expect(describeTree(outside)).toEqual(victims)
    await backend.rollback(result.guard as Snapshot)
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
  ])('stops it before anything is touched: %s (case 53)', async (_kind, obstruct, named) => {
    const { open, path, write } = createRollbackFixture(name)
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

describe.each(backends)('a rollback by %s that fails on the way', (name) => {
  it('brings the state before it back when it is aborted (case 56)', async () => {
    const { open, path, spoil } = prepare(name)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    spoil()
    const state = describeTree(path)
    const controller = new AbortController()
    let asked = 0
    const { signal } = controller
    // The signal is looked at before each file that is written; it fires at the third.
    const counting = new Proxy(signal, {
      get(target, property) {
        if (property === 'throwIfAborted' && existsSync(join(path, 'dir/deep'))) {
          asked += 1
          if (asked === 3) controller.abort(new Error('enough'))
        }
        const value: unknown = Reflect.get(target, property, target)
        return typeof value === 'function' ? value.bind(target) : value
      },
    })
    await expect(backend.rollback(before, { signal: counting })).rejects.toThrow('enough')
    expect(asked).toBeGreaterThanOrEqual(3)
    expect(describeTree(path)).toEqual(state)
    expect((await backend.capture({ label: 'x' })).metadata.recovery).toBeUndefined()
  })

  it('does not trust what it wrote: a file that somebody writes to meanwhile undoes the rollback (case 57)', async () => {
    const { open, path, stateDirectory, write } = createRollbackFixture(name)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', 'agent')
    write('new.txt', 'agent')
    unlinkSync(join(path, 'src/b.txt'))
    const state = describeTree(path)
    const script = fileURLToPath(new URL('meddled-rollback.ts', import.meta.url))
    const parameters = [name, path, stateDirectory, JSON.stringify(before)]
    const child = spawnSync(process.execPath, ['--conditions=@ws/source', script, ...parameters], {
      encoding: 'utf8',
    })
    expect(child.stderr).toBe('')
    expect(JSON.parse(child.stdout)).toMatchObject([{ code: 'CONFLICT', details: { paths: ['a.txt'] } }])
    expect(describeTree(path)).toEqual(state)
    expect((await backend.rollback(before)).verified).toBe(true)
  })

  it('does not trust what it merged: text, mode, or the very text of the target undo it (case 57)', async () => {
    const { open, path, stateDirectory, write } = createRollbackFixture(name)
    const lines = (first: string, last: string) => [first, 'b', 'c', 'd', 'e', 'f', last].join('\n')
    write('a.txt', lines('a', 'i'))
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    write('a.txt', lines('agent', 'i'))
    const after = await backend.capture({ label: 'after', previous: before })
    write('a.txt', lines('agent', 'user'))
    const state = describeTree(path)
    const script = fileURLToPath(new URL('meddled-rollback.ts', import.meta.url))
    const [target, expected] = [before, after].map((snapshot) => JSON.stringify(snapshot))
    const parameters = [
      name,
      path,
      stateDirectory,
      target!,
      'append,chmod,replace',
      expected!,
      lines('a', 'i'),
    ]
    const child = spawnSync(process.execPath, ['--conditions=@ws/source', script, ...parameters], {
      encoding: 'utf8',
    })
    expect(child.stderr).toBe('')
    const undone = { code: 'CONFLICT', details: { paths: ['a.txt'] } }
    expect(JSON.parse(child.stdout)).toMatchObject([undone, undone, undone])
    expect(describeTree(path)).toEqual(state)
  })

  it('keeps what somebody edits between a kill and the next call, and says so', async () => {
    const { open, path, stateDirectory, write, read } = createRollbackFixture(name)
    for (let number = 0; number < 9; number += 1) write(`many/${number}`, `${number}\n`)
    const backend = await open()
    const original = describeTree(path)
    const before = await backend.capture({ label: 'before' })
    for (let number = 0; number < 9; number += 1) write(`many/${number}`, 'agent')
    const script = fileURLToPath(new URL('meddled-rollback.ts', import.meta.url))
    const parameters = [name, path, stateDirectory, JSON.stringify(before), 'kill']
    const child = spawnSync(process.execPath, ['--conditions=@ws/source', script, ...parameters])
    expect(child.signal).toBe('SIGKILL')
    expect(readdirSync(join(path, 'many')).some((each) => each.startsWith('.ws-rollback-'))).toBe(true)
    write('many/8', 'somebody else')
    const { recovery } = (await backend.capture({ label: 'after the crash' })).metadata
    expect(recovery).toMatchObject({ outcome: 'forward', kept: ['many/8'] })
    expect(read('many/8')).toBe('somebody else')
    write('many/8', '8\n')
    expect(describeTree(path)).toEqual(original)
    await backend.rollback(recovery?.guard as Snapshot)
    expect(read('many/0')).toBe('agent')
  })

  it('tells that it has ended a killed one also where it is refused then', async () => {
    const { open, path, stateDirectory, write } = createRollbackFixture(name)
    for (let number = 0; number < 9; number += 1) write(`many/${number}`, `${number}\n`)
    const backend = await open()
    const before = await backend.capture({ label: 'before' })
    for (let number = 0; number < 9; number += 1) write(`many/${number}`, 'agent')
    const after = await backend.capture({ label: 'after' })
    const script = fileURLToPath(new URL('meddled-rollback.ts', import.meta.url))
    const parameters = [name, path, stateDirectory, JSON.stringify(before), 'kill']
    spawnSync(process.execPath, ['--conditions=@ws/source', script, ...parameters])
    write('many/8', 'somebody else')
    // Of what it expects, nothing is there any more.
    const error: unknown = await backend
      .rollback(before, { expected: after })
      .catch((failure: unknown) => failure)
    const sentence = `a rollback to snapshot ${before.id} that had been killed was completed; the state before it is kept as snapshot `
    expect(error).toMatchObject({
      code: 'CONFLICT',
      message: expect.stringContaining(sentence) as unknown,
      details: {
        paths: expect.arrayContaining(['many/8']) as unknown,
        recovery: 'forward',
        recoveryTarget: before.id,
        recoveryGuard: expect.any(String) as unknown,
        recoveryKept: ['many/8'],
      },
    })
    // It is told once.
    expect((await backend.capture({ label: 'x' })).metadata.recovery).toBeUndefined()
  })
})

it('stops before it changes anything for what somebody did after the guard was taken (case 55)', async () => {
  const { open, path, write } = createRollbackFixture('bundle')
  for (const edited of ['content', 'mode', 'type', 'fine']) write(edited, 'before')
  write('gone', 'before')
  const backend = await open()
  const before = await backend.capture({ label: 'before' })
  for (const edited of ['content', 'made', 'fine', 'last']) write(edited, 'agent')
  chmodSync(join(path, 'mode'), 0o600)
  chmodSync(join(path, 'type'), 0o600)
  unlinkSync(join(path, 'gone'))
  let meddled: unknown = null
  const failure = await backend
    .rollback(before, {
      onProgress({ phase, filesDone, filesExpected }) {
        if (phase !== 'read' || filesDone !== filesExpected || meddled !== null) return
        for (const edited of ['content', 'gone', 'made']) write(edited, 'somebody else')
        for (const replaced of ['mode', 'type']) unlinkSync(join(path, replaced))
        write('mode', 'somebody else', 0o600)
        symlinkSync('fine', join(path, 'type'))
        meddled = describeTree(path)
      },
    })
    .catch((error: unknown) => error)
  const paths = ['content', 'gone', 'made', 'mode', 'type']
  expect(failure).toMatchObject({ code: 'CONFLICT', details: { paths } })
  expect(describeTree(path)).toEqual(meddled)
})

it('takes no journal for its own that would have it remove what it has not written', () => {
  const { path, stateDirectory: journalDirectory } = createRollbackFixture('bundle')
  const place = { path, journalDirectory }
  const stored = { format: 1, direction: 'back', parents: [''], touched: [], merged: [], restoresGit: false }
  const readWith = (prefix: string) => {
    writeFileSync(join(journalDirectory, 'rollback'), JSON.stringify({ ...stored, prefix }))
    return readJournal(place)?.prefix ?? null
  }
  const own = `.ws-rollback-${'0'.repeat(16)}-`
  expect(['', 'a', `${own}\n`, own].map(readWith)).toEqual([null, null, null, own])
})
