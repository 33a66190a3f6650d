import { execFileSync } from 'node:child_process'
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import type { RollbackResult } from '../../../src/snapshot/snapshot-backend.ts'
import { describeRepository } from './describe-repository.ts'
import { createFixture, describeTree, fingerprint, type Fixture } from './git-fixture.ts'

const restoring = { restoreGit: true } as const

function commit({ git, write }: Fixture): string {
  write('a.txt', `${Math.random()}\n`)
  git('commit', '-q', '-a', '-m', 'by the agent')
  return git('rev-parse', 'HEAD').trim()
}

/** The fixture gives one character for each byte; `trim` would take some of these for space. */
function gitText({ git }: Fixture, ...args: string[]): string {
  return Buffer.from(git(...args), 'latin1')
    .toString('utf8')
    .replace(/\n$/, '')
}

function describeBoth({ path }: Fixture): object {
  return { tree: describeTree(path), repository: describeRepository(path) }
}

/** Snapshot, the agent's work, a rollback with the repository; checks that the dry run says what is done. */
async function rollBack(fixture: Fixture, work: () => unknown): Promise<RollbackResult> {
  const backend = await fixture.open()
  const before = await backend.capture({ label: 'before' })
  work()
  const preview = await backend.rollback(before, { ...restoring, dryRun: true })
  const result = await (await fixture.open()).rollback(before, restoring)
  expect(preview.git).toMatchObject({
    restored: result.git?.restored,
    notRestored: result.git?.notRestored,
    otherRefs: result.git?.otherRefs,
  })
  for (const { name, target } of result.git?.safetyRefs ?? [])
    expect(fixture.git('rev-parse', '--verify', '--quiet', name).trim()).toBe(target)
  return result
}

describe('a branch whose name is not ASCII', () => {
  // The second has the byte A0, which is a space in Latin-1.
  it.each(['fix/gr\u00f6\u00dfe', 'd\u00e9j\u00e0', '\u6f22\u5b57'])(
    'comes back, loose or packed: %s',
    async (name) => {
      for (const isPacked of [false, true]) {
        const fixture = createFixture()
        fixture.git('checkout', '-q', '-b', name)
        fixture.git('branch', '-D', '-q', 'main')
        if (isPacked) fixture.git('pack-refs', '--all')
        const original = describeBoth(fixture)
        let made = ''
        const result = await rollBack(fixture, () => {
          made = commit(fixture)
          fixture.git('checkout', '-q', '-b', `${name}/2`.replaceAll('/', '-'))
        })
        expect(describeBoth(fixture)).toMatchObject({ tree: (original as { tree: object }).tree })
        expect(gitText(fixture, 'symbolic-ref', 'HEAD')).toBe(`refs/heads/${name}`)
        expect(fixture.git('status', '--porcelain')).toBe('')
        expect(result.git).toMatchObject({ restored: ['HEAD', 'branch', 'index'], notRestored: [] })
        expect(result.git?.safetyRefs).toContainEqual({
          name: `refs/ws/rollback/${result.guard?.id}/now/heads/${name}`,
          target: made,
          was: `refs/heads/${name}`,
        })
      }
    },
  )

  it('is named as it is among those that are left as they are', async () => {
    const fixture = createFixture()
    fixture.git('branch', '\u00fc')
    const was = fixture.git('rev-parse', 'HEAD').trim()
    let is = ''
    const result = await rollBack(fixture, () => {
      fixture.git('checkout', '-q', '\u00fc')
      is = commit(fixture)
      fixture.git('checkout', '-q', 'main')
    })
    expect(result.git?.otherRefs).toEqual([{ ref: 'refs/heads/\u00fc', was, is }])
    expect(result.git?.safetyRefs.map(({ was: name }) => name)).toEqual([
      'refs/heads/\u00fc',
      'refs/heads/\u00fc',
    ])
  })

  it('keeps HEAD where it is when the name is not even UTF-8, and says so', async () => {
    const fixture = createFixture()
    const checkOut = (...args: (string | Buffer)[]) =>
      execFileSync('sh', ['-c', `git checkout -q ${args.join(' ')} "$(printf 'x\\377')"`], {
        cwd: fixture.path,
      })
    checkOut('-b')
    const result = await rollBack(fixture, () => fixture.git('checkout', '-q', 'main'))
    expect(result.git?.restored).toEqual([])
    expect(result.git?.notRestored).toContainEqual({
      part: 'HEAD',
      reason: expect.stringContaining('is not UTF-8') as string,
    })
    expect(fixture.git('symbolic-ref', 'HEAD').trim()).toBe('refs/heads/main')
  })

  it('is written through no link in its place', async () => {
    const fixture = createFixture()
    fixture.git('checkout', '-q', '-b', '\u00fc/x')
    const outside = join(fixture.outside, 'ref')
    const backend = await fixture.open()
    const before = await backend.capture({ label: 'before' })
    commit(fixture)
    fixture.git('pack-refs', '--all')
    writeFileSync(outside, 'not ours')
    mkdirSync(join(fixture.path, '.git/refs/heads/\u00fc'), { recursive: true })
    symlinkSync(outside, join(fixture.path, '.git/refs/heads/\u00fc/x'))
    const left = fingerprint(join(fixture.path, '.git'))
    await expect(backend.rollback(before, restoring)).rejects.toMatchObject({ code: 'UNSAFE_PATH' })
    expect(fingerprint(join(fixture.path, '.git'))).toEqual(left)
    expect(readFileSync(outside, 'latin1')).toBe('not ours')
  })

  it('is not touched while a git command holds its lock', async () => {
    const fixture = createFixture()
    fixture.git('checkout', '-q', '-b', '\u00fc')
    const backend = await fixture.open()
    const before = await backend.capture({ label: 'before' })
    commit(fixture)
    writeFileSync(join(fixture.path, '.git/refs/heads/\u00fc.lock'), '')
    await expect(backend.rollback(before, restoring)).rejects.toMatchObject({
      code: 'BUSY',
      message: expect.stringContaining('\u00fc.lock') as string,
    })
  })
})

describe('HEAD on a branch that is a symbolic ref', () => {
  function alias(): Fixture {
    const fixture = createFixture()
    fixture.git('symbolic-ref', 'refs/heads/master', 'refs/heads/main')
    fixture.git('symbolic-ref', 'HEAD', 'refs/heads/master')
    return fixture
  }

  it('comes back with what that leads to', async () => {
    const fixture = alias()
    const original = describeBoth(fixture)
    const result = await rollBack(fixture, () => {
      commit(fixture)
      fixture.git('checkout', '-q', '-b', 'agent')
    })
    expect(result.git).toMatchObject({ restored: ['HEAD', 'branch', 'index'], notRestored: [] })
    expect(fixture.git('symbolic-ref', '--no-recurse', 'HEAD').trim()).toBe('refs/heads/master')
    fixture.git('branch', '-D', '-q', 'agent')
    expect(describeBoth(fixture)).toMatchObject({ tree: (original as { tree: object }).tree })
    expect(fixture.git('status', '--porcelain')).toBe('')
  })

  it('stays when that leads elsewhere now, and so does the index', async () => {
    const fixture = alias()
    fixture.git('branch', 'other')
    const result = await rollBack(fixture, () => {
      commit(fixture)
      fixture.git('symbolic-ref', 'refs/heads/master', 'refs/heads/other')
    })
    expect(result.git?.restored).toEqual([])
    expect(result.git?.notRestored.map(({ part }) => part)).toEqual(['branch', 'index'])
    expect(result.git?.notRestored[0]?.reason).toContain(
      'refs/heads/master led to refs/heads/main, and does not any more',
    )
    expect(fixture.git('symbolic-ref', '--no-recurse', 'refs/heads/master').trim()).toBe('refs/heads/other')
  })
})

describe('HEAD on a ref that is no branch', () => {
  it('comes back with the value of that ref', async () => {
    const fixture = createFixture()
    fixture.git('update-ref', 'refs/wip/x', 'HEAD')
    fixture.git('symbolic-ref', 'HEAD', 'refs/wip/x')
    const was = fixture.git('rev-parse', 'HEAD').trim()
    const result = await rollBack(fixture, () => {
      commit(fixture)
      fixture.git('checkout', '-q', 'main')
    })
    expect(result.git).toMatchObject({
      restored: ['HEAD', 'branch', 'index'],
      notRestored: [],
      otherRefs: [],
    })
    expect(fixture.git('symbolic-ref', 'HEAD').trim()).toBe('refs/wip/x')
    expect(fixture.git('rev-parse', 'HEAD').trim()).toBe(was)
    expect(fixture.git('status', '--porcelain')).toBe('')
  })

  it('stays where it is when it was on no ref at all, and the rollback says so', async () => {
    const fixture = createFixture()
    const head = readFileSync(join(fixture.path, '.git/HEAD'))
    writeFileSync(join(fixture.path, '.git/HEAD'), 'ref: refs/heads/../../outside\n')
    const result = await rollBack(fixture, () => writeFileSync(join(fixture.path, '.git/HEAD'), head))
    expect(result.git?.restored).toEqual([])
    expect(result.git?.notRestored).toContainEqual({
      part: 'HEAD',
      reason: 'HEAD named refs/heads/../../outside, which is no branch',
    })
  })
})

it('keeps what a file of an operation in progress names whose own name can be no part of a ref', async () => {
  const fixture = createFixture()
  const target = fixture.git('rev-parse', 'HEAD').trim()
  const result = await rollBack(fixture, () => {
    mkdirSync(join(fixture.path, '.git/rebase-merge'))
    writeFileSync(join(fixture.path, '.git/rebase-merge/note..txt'), `${target}\n`)
    writeFileSync(join(fixture.path, '.git/rebase-merge/caf\u00e9'), `${target}\n`)
  })
  expect(result.git?.safetyRefs.map(({ target: id, was }) => ({ id, was }))).toEqual([
    { id: target, was: 'rebase-merge/caf\u00e9' },
    { id: target, was: 'rebase-merge/note..txt' },
  ])
})
