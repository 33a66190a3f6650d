import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createFixture, type Fixture } from './git-fixture.ts'

const restoring = { restoreGit: true } as const

function commit({ git, write }: Fixture): void {
  write('a.txt', `${Math.random()}\n`)
  git('commit', '-q', '-a', '-m', 'by the agent')
}

function refs({ git }: Fixture): string[] {
  return git('for-each-ref', '--format=%(refname)').trim().split('\n')
}

it('leaves a branch whose file is damaged, says so in a dry run too, and rolls the files back', async () => {
  const fixture = createFixture()
  const backend = await fixture.open()
  const before = await backend.capture({ label: 'before' })
  const original = fixture.read('a.txt')
  commit(fixture)
  writeFileSync(join(fixture.path, '.git/refs/heads/main'), '')
  for (const dryRun of [true, false]) {
    const { git } = await backend.rollback(before, { ...restoring, dryRun })
    expect(git?.restored).toEqual([])
    expect(git?.notRestored).toContainEqual({
      part: 'branch',
      reason: 'the file of refs/heads/main is damaged; remove it first',
    })
  }
  expect(fixture.read('a.txt')).toBe(original)
})

it('leaves no refs behind when git refuses to put the branch back, and names the command', async () => {
  const fixture = createFixture()
  fixture.git('branch', 'other')
  const backend = await fixture.open()
  const before = await backend.capture({ label: 'before' })
  commit(fixture)
  fixture.git('branch', '-f', 'other', 'HEAD')
  fixture.git('pack-refs', '--all')
  // What is packed can be read, and git takes the file for a broken ref.
  writeFileSync(join(fixture.path, '.git/refs/heads/main'), '')
  const left = refs(fixture)
  const changed = readFileSync(join(fixture.path, 'a.txt'), 'utf8')
  for (let attempt = 0; attempt < 2; attempt += 1)
    await expect(backend.rollback(before, restoring)).rejects.toMatchObject({
      code: 'UNAVAILABLE',
      details: { command: 'git update-ref' },
    })
  expect(refs(fixture)).toEqual(left)
  expect(fixture.read('a.txt')).toBe(changed)
})

it('works where an index was split once, whatever the paths are called', async () => {
  const fixture = createFixture()
  mkdirSync(join(fixture.path, 'links'))
  fixture.write('links/a', '1\n')
  fixture.git('update-index', '--split-index')
  fixture.git('add', '-A')
  fixture.git('commit', '-q', '-m', 'second')
  const split = await fixture.open()
  const ofSplit = await split.capture({ label: 'before' })
  await expect(split.rollback(ofSplit, restoring)).rejects.toMatchObject({ code: 'UNSUPPORTED' })
  fixture.git('update-index', '--no-split-index')
  const backend = await fixture.open()
  const before = await backend.capture({ label: 'before' })
  commit(fixture)
  const { git } = await backend.rollback(before, restoring)
  expect(git).toMatchObject({ restored: ['branch', 'index'], notRestored: [] })
})
