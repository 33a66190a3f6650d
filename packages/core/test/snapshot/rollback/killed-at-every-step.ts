import { execFileSync } from 'node:child_process'
import { chmodSync, cpSync, existsSync, mkdirSync, rmSync, symlinkSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { buildScript } from '../../support/build-script.ts'
import { describeRepository } from '../git/describe-repository.ts'
import { runUserGit } from '../git/git-fixture.ts'
import {
  createRollbackFixture,
  describeTree,
  emptyWorkspace,
  type BackendName,
  type RollbackFixture,
} from './rollback-fixture.ts'
import { runKilledRollback } from './run-killed-rollback.ts'

const lines = Array.from({ length: 20 }, (_, at) => `line ${at}\n`)

function makeOriginal({ path, write }: RollbackFixture): void {
  write('a.txt', 'original\n')
  write('src/b.txt', 'three\n')
  write('merged.txt', lines.join(''))
  write('gone/deep.txt', 'deep\n', 0o600)
  chmodSync(join(path, 'gone'), 0o700)
  write('run.sh', '#!/bin/sh\n', 0o755)
  symlinkSync('a.txt', join(path, 'link'))
}

function makeAgentState({ path, write }: RollbackFixture): void {
  makeOriginal({ path, write } as RollbackFixture)
  write('a.txt', 'agent\n')
  write('merged.txt', lines.with(1, 'agent\n').join(''))
  rmSync(join(path, 'gone'), { recursive: true })
  chmodSync(join(path, 'run.sh'), 0o644)
  unlinkSync(join(path, 'link'))
  write('made/x.txt', 'made\n')
  execFileSync('mkfifo', [join(path, 'made/pipe')])
  mkdirSync(join(path, 'empty'))
}

/** Moves the branch, HEAD, the index and the stash, and leaves the files alone. */
function commitAndStash(path: string): void {
  runUserGit(path, 'add', '-A')
  runUserGit(path, 'stash', 'store', '-m', 'of the agent', runUserGit(path, 'stash', 'create').trim())
  runUserGit(path, 'commit', '-q', '-m', 'by the agent')
  runUserGit(path, 'checkout', '-q', '--detach')
}

/**
 * Kills a rollback before each of its steps, one after the other, and lets the next call end it; some of these are killed
 * too.
 * @returns the outcomes that were reported
 */
export async function killAtEveryStep(name: BackendName): Promise<ReadonlySet<string>> {
  const fixture = createRollbackFixture(name)
  const { path, write, open } = fixture
  const edit = (): void => write('merged.txt', lines.with(1, 'agent\n').with(15, 'somebody else\n').join(''))
  emptyWorkspace(path)
  makeOriginal(fixture)
  const backend = await open()
  const target = await backend.capture({ label: 'before' })
  emptyWorkspace(path)
  makeAgentState(fixture)
  const expected = await backend.capture({ label: 'after', previous: target })
  edit()
  if (name === 'git') commitAndStash(path)
  const repository = join(path, '.git')
  const savedRepository = join(fixture.outside, 'repository')
  if (name === 'git') cpSync(repository, savedRepository, { recursive: true, preserveTimestamps: true })
  const describe = () => [describeTree(path), name === 'git' ? describeRepository(path) : null]
  const spoilt = describe()
  const options = { expected, onForeignEdits: 'merge', restoreGit: name === 'git' } as const
  await backend.rollback(target, options)
  const undone = describe()
  expect(undone).not.toEqual(spoilt)
  expect(fixture.read('merged.txt')).toBe(lines.with(15, 'somebody else\n').join(''))

  const script = await buildScript(join(import.meta.dirname, 'killed-rollback.ts'))
  const outcomes = new Set<string>()
  let killedRecoveries = 0
  for (let step = 1; ; step += 1) {
    emptyWorkspace(path)
    makeAgentState(fixture)
    edit()
    if (name === 'git') {
      rmSync(repository, { recursive: true })
      cpSync(savedRepository, repository, { recursive: true, preserveTimestamps: true })
    }
    const end = await runKilledRollback(script, name, fixture, { target, options }, step)
    if (end !== null) {
      expect(end, 'the steps that were killed at').toBe(step - 1)
      break
    }
    // Now and then, whoever comes to end it is killed as well, at one step or another.
    if (step % 3 === 0) {
      const recovery = { target, options: { dryRun: true } }
      const isKilled =
        (await runKilledRollback(script, name, fixture, recovery, 1 + ((step / 3) % 12))) === null
      if (isKilled) killedRecoveries += 1
    }
    const next = await open()
    const { recovery } =
      step % 2 === 0
        ? await next.rollback(target, { dryRun: true })
        : { recovery: (await next.capture({ label: 'x' })).metadata.recovery ?? null }
    const state = describe()
    expect([undone, spoilt], `killed before step ${step}`).toContainEqual(state)
    if (recovery !== null) {
      expect(state).toEqual(recovery.outcome === 'forward' ? undone : spoilt)
      expect(recovery).toMatchObject({ target: { ref: target.ref }, kept: [] })
      outcomes.add(recovery.outcome)
    }
    expect(existsSync(join(path, 'made/pipe'))).toBe(true)
    if (recovery !== null) expect((await next.capture({ label: 'x' })).metadata.recovery).toBeUndefined()
  }
  expect(killedRecoveries).toBeGreaterThan(4)
  return outcomes
}
