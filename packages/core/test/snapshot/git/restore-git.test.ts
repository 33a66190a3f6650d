import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RollbackResult } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { describeRepository } from './describe-repository.ts'
import { createFixture, describeTree, fingerprint, runUserGit, type Fixture } from './git-fixture.ts'

const git = { restoreGit: true } as const

function commit(fixture: Fixture, file: string, content: string, message: string): string {
  fixture.write(file, content)
  fixture.git('add', '-A')
  fixture.git('commit', '-q', '-m', message)
  return fixture.git('rev-parse', 'HEAD').trim()
}

/** A user with staged, unstaged and untracked work, two branches, a tag and a stash. */
function prepare(options: Parameters<typeof createFixture>[0] = {}) {
  const fixture = createFixture(options)
  commit(fixture, 'c.txt', 'c\n', 'second')
  fixture.git('branch', 'other')
  fixture.git('tag', 'v1')
  fixture.write('a.txt', 'stashed by the user\n')
  fixture.git('stash', 'push', '-q', '-m', 'of the user')
  fixture.write('a.txt', 'staged\n')
  fixture.git('add', 'a.txt')
  fixture.write('a.txt', 'staged, then edited\n')
  fixture.write('src/b.txt', 'edited\n')
  fixture.write('untracked.txt', 'untracked\n')
  return fixture
}

/** Everything is as it was, in the repository and beside it; the undo brings back what was there before. */
async function expectBack(
  fixture: Fixture,
  before: Snapshot,
  original: { readonly tree: object; readonly repository: object },
): Promise<RollbackResult> {
  const { path, open } = fixture
  const spoilt = { tree: describeTree(path), repository: describeRepository(path) }
  const result = await (await open()).rollback(before, git)
  expect({ tree: describeTree(path), repository: describeRepository(path) }).toEqual(original)
  expect(result.git?.notRestored).toEqual([])
  for (const { name, target } of result.git?.safetyRefs ?? [])
    expect(runUserGit(path, 'rev-parse', name).trim()).toBe(target)
  const undone = await (await open()).rollback(result.guard as Snapshot, git)
  expect({ tree: describeTree(path), repository: describeRepository(path) }).toEqual(spoilt)
  await (await open()).rollback(undone.guard as Snapshot, git)
  expect({ tree: describeTree(path), repository: describeRepository(path) }).toEqual(original)
  expect(runUserGit(path, 'fsck', '--no-dangling', '--no-progress')).toBe('')
  return result
}

async function start(fixture: Fixture) {
  const backend = await fixture.open()
  const before = await backend.capture({ label: 'before' })
  const original = { tree: describeTree(fixture.path), repository: describeRepository(fixture.path) }
  return { backend, before, original }
}

describe('a rollback of files alone', () => {
  it('leaves HEAD, refs, index and everything else in .git as the agent left them, byte for byte (cases 44, 45, 46, 83)', async () => {
    const fixture = prepare()
    const { backend, before, original } = await start(fixture)
    fixture.write('.gitignore', 'forced.log\n')
    fixture.write('forced.log', 'ignored, and added all the same')
    fixture.git('add', '-f', 'forced.log')
    commit(fixture, 'agent.txt', 'agent', 'by the agent')
    fixture.git('checkout', '-q', '-b', 'agent')
    fixture.write('staged.txt', 'staged by the agent')
    fixture.git('add', 'staged.txt')
    const left = fingerprint(join(fixture.path, '.git'))
    const result = await backend.rollback(before)
    expect(describeTree(fixture.path)).toEqual(original.tree)
    expect(fingerprint(join(fixture.path, '.git'))).toEqual(left)
    expect(result).toMatchObject({ git: null, verified: true })
  })
})

describe('a rollback with restoreGit', () => {
  it.each(['sha1', 'sha256'])(
    'puts branch, index and stash back after commits, a popped and a new stash (%s; cases 44, 45, 83)',
    async (format) => {
      const fixture = prepare({ format })
      const { before, original } = await start(fixture)
      const stashed = fixture.git('rev-parse', 'stash@{0}').trim()
      const made = commit(fixture, 'agent.txt', 'agent', 'by the agent')
      fixture.git('stash', 'drop', '-q')
      fixture.write('a.txt', 'stashed by the agent\n')
      fixture.git('stash', 'push', '-q', '-m', 'of the agent')
      const lost = fixture.git('rev-parse', 'stash@{0}').trim()
      const result = await expectBack(fixture, before, original)
      expect(result.git).toMatchObject({ restored: ['branch', 'index', 'stash'], otherRefs: [] })
      expect(result.git?.safetyRefs).toEqual([
        { name: `refs/ws/rollback/${result.guard?.id}/HEAD`, target: made, was: 'HEAD' },
        { name: `refs/ws/rollback/${result.guard?.id}/now/heads/main`, target: made, was: 'refs/heads/main' },
        { name: `refs/ws/rollback/${result.guard?.id}/stash/0`, target: lost, was: 'stash@{0}' },
      ])
      expect(fixture.git('rev-parse', 'stash@{0}').trim()).toBe(stashed)
    },
  )

  it.each(['all', 'the first'])(
    'puts a stash back although %s of its entries had expired, and keeps what was stashed since (cases 45, 83)',
    async (expired) => {
      const fixture = prepare()
      fixture.git('reflog', 'expire', '--expire=now', '--all')
      const stash = (content: string): string => {
        fixture.write('c.txt', content)
        fixture.git('stash', 'push', '-q', '-m', content, 'c.txt')
        return fixture.git('rev-parse', 'refs/stash').trim()
      }
      if (expired === 'the first') stash('second stash of the user')
      const stashed = fixture.git('rev-parse', 'refs/stash').trim()
      const { before, original } = await start(fixture)
      fixture.git('stash', 'clear')
      const lost = stash('of the agent')
      fixture.git('reflog', 'expire', '--expire=now', '--all')
      const result = await expectBack(fixture, before, original)
      expect(fixture.git('rev-parse', 'refs/stash').trim()).toBe(stashed)
      expect(result.git?.restored).toContain('stash')
      expect(result.git?.safetyRefs.map(({ target }) => target)).toContain(lost)
      expect(await (await fixture.open()).rollback(before, git)).toMatchObject({ git: { restored: [] } })
    },
  )

  it('comes back to a branch that the agent left and deleted, whose commits gc has pruned (cases 62, 83)', async () => {
    const fixture = prepare()
    const lost = commit(fixture, 'unpushed.txt', 'unpushed\n', 'unpushed work')
    fixture.write('a.txt', 'staged only\n')
    fixture.git('add', 'a.txt')
    fixture.write('a.txt', 'otherwise\n')
    const { before, original } = await start(fixture)
    fixture.git('stash', 'clear')
    fixture.git('checkout', '-q', '-f', 'other')
    fixture.git('branch', '-q', '-D', 'main')
    fixture.git('tag', '-d', 'v1')
    fixture.git('reflog', 'expire', '--expire=now', '--all')
    fixture.git('gc', '-q', '--prune=now')
    expect(() => fixture.git('cat-file', '-e', lost)).toThrow(/failed/)
    const result = await expectBack(fixture, before, original)
    expect(result.git?.restored).toEqual(['HEAD', 'branch', 'index', 'stash'])
    expect(result.git?.otherRefs).toMatchObject([{ ref: 'refs/tags/v1', is: null }])
    expect(fixture.git('log', '-1', '--format=%s').trim()).toBe('unpushed work')
  })

  it('makes an unborn branch unborn again, and a detached HEAD detached', async () => {
    const unborn = createFixture({ empty: true })
    unborn.write('a.txt', 'first\n')
    unborn.git('add', 'a.txt')
    const fresh = await start(unborn)
    commit(unborn, 'b.txt', 'b\n', 'by the agent')
    const result = await expectBack(unborn, fresh.before, fresh.original)
    expect(result.git?.restored).toEqual(['branch', 'index'])

    const detached = prepare()
    detached.git('checkout', '-q', '--detach')
    const { before, original } = await start(detached)
    detached.git('checkout', '-q', '-f', '-b', 'agent')
    commit(detached, 'b.txt', 'b\n', 'by the agent')
    const back = await expectBack(detached, before, original)
    expect(back.git).toMatchObject({
      restored: ['HEAD', 'index'],
      otherRefs: [{ ref: 'refs/heads/agent', was: null }],
    })
  })

  function makeConflict(fixture: Fixture): void {
    fixture.git('checkout', '-q', '-b', 'theirs')
    commit(fixture, 'a.txt', 'theirs\n', 'theirs')
    fixture.git('checkout', '-q', 'main')
    commit(fixture, 'a.txt', 'ours\n', 'ours')
  }

  it.each([
    ['merge', ['merge', '-q', 'theirs'], 'merge'],
    ['rebase', ['rebase', '-q', 'theirs'], 'rebase'],
    ['cherry-pick', ['cherry-pick', 'theirs'], 'cherry-pick'],
  ])(
    'puts a %s away that the agent left in progress, and brings it back on undo',
    async (_name, command, found) => {
      const fixture = createFixture()
      makeConflict(fixture)
      const { before, original } = await start(fixture)
      expect(() => fixture.git(...command)).toThrow()
      const result = await expectBack(fixture, before, original)
      expect(result.git?.restored).toContain('operation')
      expect(result.git?.wasInProgress).toEqual([found])
    },
  )

  it('brings a merge in progress back with its conflicts when the agent has committed it', async () => {
    const fixture = createFixture()
    makeConflict(fixture)
    expect(() => fixture.git('merge', '-q', 'theirs')).toThrow()
    const { before, original } = await start(fixture)
    expect(original.repository).toMatchObject({ operation: 'MERGE_HEAD,MERGE_MSG' })
    commit(fixture, 'a.txt', 'resolved\n', 'merged by the agent')
    const result = await expectBack(fixture, before, original)
    expect(result.git?.restored).toEqual(['branch', 'index', 'operation'])
  })

  it('works in a linked work tree, and does not take a branch from another one', async () => {
    const fixture = prepare()
    const linked = join(fixture.outside, 'linked')
    fixture.git('worktree', 'add', '-q', '-b', 'linked', linked)
    const inLinked = { ...fixture, path: linked, git: (...args: string[]) => runUserGit(linked, ...args) }
    const open = async () => fixture.open(linked)
    const write = (name: string, content: string | Uint8Array) => writeFileSync(join(linked, name), content)
    const user = describeRepository(fixture.path)
    const before = await (await open()).capture({ label: 'before' })
    const original = { tree: describeTree(linked), repository: describeRepository(linked) }
    commit({ ...inLinked, open, write }, 'b.txt', 'b\n', 'by the agent')
    const result = await expectBack({ ...inLinked, open, write }, before, original)
    expect(result.git?.restored).toEqual(['branch', 'index'])
    expect(describeRepository(fixture.path)).toEqual(user)

    inLinked.git('checkout', '-q', '--detach')
    fixture.git('checkout', '-q', '-f', 'linked')
    const refused = await (await open()).rollback(before, git)
    expect(refused.git?.restored).toEqual([])
    expect(refused.git?.notRestored[0]).toMatchObject({
      part: 'HEAD',
      reason: expect.stringContaining('work tree'),
    })
  })

  it('leaves HEAD where a new branch has taken the name of its branch, rolls the files back and says so, as in a dry run', async () => {
    const fixture = createFixture()
    fixture.git('checkout', '-q', '-b', 'topic')
    const { backend, before, original } = await start(fixture)
    fixture.git('checkout', '-q', 'main')
    fixture.git('branch', '-q', '-D', 'topic')
    fixture.git('branch', 'topic/part')
    fixture.write('a.txt', 'by the agent\n')
    const dry = await backend.rollback(before, { ...git, dryRun: true })
    const result = await backend.rollback(before, git)
    const reason = 'refs/heads/topic/part is in the way of refs/heads/topic; rename or delete it first'
    expect(result.git).toMatchObject({ restored: [], notRestored: [{ part: 'HEAD', reason }, { part: 'branch', reason }] }) // prettier-ignore
    expect(dry.git?.notRestored).toEqual(result.git?.notRestored)
    expect(describeTree(fixture.path)).toEqual(original.tree)
    fixture.git('branch', '-m', 'topic/part', 'part')
    await backend.rollback(before, git)
    expect(fixture.git('symbolic-ref', 'HEAD').trim()).toBe('refs/heads/topic')
  })

  it('passes over refs that no git would make, so that they cannot keep it from working', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    const id = commit(fixture, 'a.txt', 'agent\n', 'agent')
    for (const name of ['..x', 'a b', 'a\nb', 'x.lock', '~'])
      writeFileSync(join(fixture.path, '.git/refs/heads', name), `${id}\n`)
    const packed = `${id} refs/heads/../../../outside/made\n${id} refs/heads/.hidden\n`
    writeFileSync(join(fixture.path, '.git/packed-refs'), packed)
    const { git: restored } = await backend.rollback(before, git)
    expect(restored?.restored).toContain('branch')
    expect(restored?.otherRefs).toEqual([])
    expect(readdirSync(fixture.outside)).toEqual([])
  })

  it.each(['logs', 'logs/refs', 'logs/refs/stash'])(
    'is refused before anything is touched where %s is a link',
    async (name) => {
      const fixture = prepare()
      const { backend, before } = await start(fixture)
      fixture.git('stash', 'clear')
      const place = join(fixture.path, '.git', name)
      mkdirSync(join(fixture.outside, 'refs'))
      for (const kept of ['stash', 'refs/stash']) writeFileSync(join(fixture.outside, kept), 'not of git\n')
      rmSync(place, { recursive: true, force: true })
      symlinkSync(name.endsWith('stash') ? join(fixture.outside, 'stash') : fixture.outside, place)
      fixture.write('a.txt', 'agent\n')
      const outside = describeTree(fixture.outside)
      await expect(backend.rollback(before, git)).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
      expect(describeTree(fixture.outside)).toEqual(outside)
      expect(fixture.read('a.txt')).toBe('agent\n')
    },
  )

  it('is refused before anything is touched where a directory is in the place of the index', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    rmSync(join(fixture.path, '.git/index'))
    mkdirSync(join(fixture.path, '.git/index'))
    fixture.write('a.txt', 'agent\n')
    await expect(backend.rollback(before, git)).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    expect(fixture.read('a.txt')).toBe('agent\n')
    expect((await backend.rollback(before)).verified).toBe(true)
  })

  it('works with packed refs', async () => {
    const fixture = prepare()
    fixture.git('pack-refs', '--all')
    const { before, original } = await start(fixture)
    commit(fixture, 'b.txt', 'b\n', 'by the agent')
    fixture.git('stash', 'clear')
    fixture.git('branch', '-D', 'other')
    fixture.git('pack-refs', '--all')
    const result = await expectBack(fixture, before, original)
    expect(result.git?.restored).toEqual(['branch', 'index', 'stash'])
    expect(result.git?.safetyRefs.map(({ was }) => was)).toEqual([
      'HEAD',
      'refs/heads/main',
      'refs/heads/other',
    ])
  })

  it('says in a dry run what it would do, and writes nothing in .git', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    commit(fixture, 'b.txt', 'b\n', 'by the agent')
    const state = [describeTree(fixture.path), fingerprint(join(fixture.path, '.git'))]
    const dry = await backend.rollback(before, { ...git, dryRun: true })
    expect([describeTree(fixture.path), fingerprint(join(fixture.path, '.git'))]).toEqual(state)
    const real = await backend.rollback(before, git)
    expect(real.git?.restored).toEqual(dry.git?.restored)
    expect(real.git?.safetyRefs.map(({ target }) => target)).toEqual(
      dry.git?.safetyRefs.map(({ target }) => target),
    )
  })

  it.each(['index.lock', 'HEAD.lock', 'packed-refs.lock', 'refs/heads/main.lock'])(
    'waits for nobody: BUSY while a git command holds %s, and nothing is touched (case 74)',
    async (lock) => {
      const fixture = prepare()
      const { backend, before } = await start(fixture)
      commit(fixture, 'b.txt', 'b\n', 'by the agent')
      writeFileSync(join(fixture.path, '.git', lock), '')
      const state = [describeTree(fixture.path), fingerprint(join(fixture.path, '.git'))]
      await expect(backend.rollback(before, git)).rejects.toMatchObject({
        code: 'BUSY',
        details: { lock: join(fixture.path, '.git', lock) },
      })
      expect([describeTree(fixture.path), fingerprint(join(fixture.path, '.git'))]).toEqual(state)
    },
  )

  it('says that there is no repository any more and rolls the files back; after git init it brings the history back (case 82)', async () => {
    const fixture = prepare()
    const { before, original } = await start(fixture)
    rmSync(join(fixture.path, '.git'), { recursive: true })
    fixture.write('a.txt', 'lost')
    const backend = await fixture.openGone()
    const result = await backend.rollback(before, git)
    expect(result).toMatchObject({
      verified: true,
      git: { restored: [], notRestored: [{ part: 'repository' }] },
    })
    expect(describeTree(fixture.path)).toEqual(original.tree)
    fixture.git('init', '-q', '-b', 'elsewhere')
    const again = await (await fixture.open()).rollback(before, git)
    expect(again.git).toMatchObject({ restored: ['HEAD', 'branch', 'index', 'stash'], notRestored: [] })
    expect(describeRepository(fixture.path)).toEqual(original.repository)
    expect(fixture.git('log', '--format=%s').split('\n')).toEqual(['second', 'first', ''])
  })

  it('leaves another repository alone that .git points to now, and parts of it that are links', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    fixture.write('a.txt', 'agent')
    const dotGit = join(fixture.path, '.git')
    const victim = join(fixture.outside, 'victim')
    mkdirSync(victim)
    runUserGit(victim, 'init', '-q')
    renameSync(dotGit, join(fixture.outside, 'hidden'))
    writeFileSync(dotGit, `gitdir: ${join(victim, '.git')}\n`)
    const untouched = fingerprint(join(victim, '.git'))
    await expect(backend.rollback(before, git)).rejects.toMatchObject({ code: 'CONFLICT' })
    expect(fingerprint(join(victim, '.git'))).toEqual(untouched)
    expect(fixture.read('a.txt')).toBe('agent')
    rmSync(dotGit)
    renameSync(join(fixture.outside, 'hidden'), dotGit)

    renameSync(join(dotGit, 'refs/heads'), join(fixture.outside, 'heads'))
    symlinkSync(join(fixture.outside, 'heads'), join(dotGit, 'refs/heads'))
    await expect(backend.rollback(before, git)).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    expect(fixture.read('a.txt')).toBe('agent')
  })

  it('refuses what it cannot do before anything is touched: reftable, a split index, paths, a directory below the top', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    fixture.write('a.txt', 'agent')
    const refusal = async (options = {}) => {
      const failure = await backend.rollback(before, { ...git, ...options }).catch((error: unknown) => error)
      expect(fixture.read('a.txt')).toBe('agent')
      return failure
    }
    expect(await refusal({ paths: ['a.txt'] })).toMatchObject({ code: 'INVALID_INPUT' })
    mkdirSync(join(fixture.path, '.git/reftable'))
    expect(await refusal()).toMatchObject({ code: 'UNSUPPORTED', details: { obstacle: 'reftable' } })
    rmSync(join(fixture.path, '.git/reftable'), { recursive: true })
    fixture.git('update-index', '--split-index')
    expect(await refusal()).toMatchObject({ code: 'UNSUPPORTED', details: { obstacle: 'split-index' } })
    const below = await fixture.open(join(fixture.path, 'src'))
    await expect(below.rollback(await below.capture({ label: 'x' }), git)).rejects.toMatchObject({
      code: 'INVALID_INPUT',
    })
  })

  it('refuses a git directory that is among the captured files, before anything is touched', async () => {
    const fixture = prepare()
    renameSync(join(fixture.path, '.git'), join(fixture.path, 'meta'))
    writeFileSync(join(fixture.path, '.git'), 'gitdir: ./meta\n')
    const { backend, before } = await start(fixture)
    commit(fixture, 'b.txt', 'b\n', 'by the agent')
    const head = fixture.git('rev-parse', 'HEAD')
    // The first one may meet with the objects that the snapshot has linked.
    await backend.rollback(before, { ...git, dryRun: true }).catch(() => undefined)
    await expect(backend.rollback(before, git)).rejects.toMatchObject({
      code: 'UNSUPPORTED',
      details: { path: join(fixture.path, 'meta') },
    })
    expect(fixture.git('rev-parse', 'HEAD')).toBe(head)
    expect(fixture.read('b.txt')).toBe('b\n')
  })

  it('runs no hook of the repository (case 79)', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    commit(fixture, 'b.txt', 'b\n', 'by the agent')
    const mark = join(fixture.outside, 'ran')
    for (const hook of ['reference-transaction', 'post-index-change', 'post-checkout']) {
      const file = join(fixture.path, '.git/hooks', hook)
      mkdirSync(join(file, '..'), { recursive: true })
      writeFileSync(file, `#!/bin/sh\necho ${hook} >> ${mark}\n`)
      chmodSync(file, 0o755)
    }
    expect((await backend.rollback(before, git)).git?.restored).toEqual(['branch', 'index'])
    expect(existsSync(mark)).toBe(false)
  })

  it('gives the index back the time that it had, so that git sees edits of that very second (case 1)', async () => {
    const fixture = prepare()
    const { backend, before } = await start(fixture)
    const index = join(fixture.path, '.git/index')
    const { mtimeMs } = lstatSync(index)
    const bytes = readFileSync(index)
    commit(fixture, 'b.txt', 'b\n', 'by the agent')
    await backend.rollback(before, git)
    expect(readFileSync(index)).toEqual(bytes)
    expect(lstatSync(index).mtimeMs).toBe(Math.floor(mtimeMs / 1000) * 1000)
  })
})
