import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { HashIgnoreOptions } from '../../../src/snapshot/hash/ignore-rules.ts'
import { openHashBackend } from '../../../src/snapshot/hash/open-hash-backend.ts'
import type { EntryState, FileChange } from '../../../src/snapshot/snapshot.ts'
import { git } from '../../support/temporary-directory.ts'
import { applyEdit, edit, type Edit } from './apply-edits.ts'

interface Scenario {
  /** What is committed, what is left in the work tree on top, and what happens between the snapshots. */
  readonly committed: readonly Edit[]
  readonly pending: readonly Edit[]
  readonly edits: readonly Edit[]
}

const scenario: fc.Arbitrary<Scenario> = fc.record({
  committed: fc.array(edit, { maxLength: 8 }),
  pending: fc.array(edit, { maxLength: 4 }),
  edits: fc.array(edit, { minLength: 1, maxLength: 8 }),
})

const onlyGit: HashIgnoreOptions = { defaults: false, paths: ['.git'] }

/** Runs the scenario once and gives what each backend makes of it. */
async function compare(
  { committed, pending, edits }: Scenario,
  gitignore: string | null,
  ignore: HashIgnoreOptions,
): Promise<{ readonly git: unknown; readonly hash: unknown }> {
  const base = realpathSync(mkdtempSync(join(tmpdir(), 'ws-test-')))
  try {
    const path = join(base, 'repository')
    mkdirSync(path)
    git(path, 'init', '-q')
    if (gitignore !== null) writeFileSync(join(path, '.gitignore'), gitignore)
    for (const step of committed) applyEdit(path, step)
    git(path, 'add', '-A')
    git(path, 'commit', '-q', '--allow-empty', '-m', 'start')
    for (const step of pending) applyEdit(path, step)
    const backends = [
      await openGitBackend({ path, stateDirectory: join(base, 'state') }),
      await openHashBackend({ path, stateDirectory: join(base, 'state'), ignore }),
    ] as const
    if (backends[0] === null) throw new Error('the repository is none')
    const before = [
      await backends[0].capture({ label: 'x' }),
      await backends[1].capture({ label: 'x' }),
    ] as const
    for (const step of edits) applyEdit(path, step)
    const after = [
      await backends[0].capture({ label: 'x', previous: before[0] }),
      await backends[1].capture({ label: 'x', previous: before[1] }),
    ] as const
    return {
      git: {
        entries: [before[0].metadata.entries, after[0].metadata.entries],
        changes: (await backends[0].changes(before[0], after[0])).map(comparable),
      },
      hash: {
        entries: [before[1].metadata.entries, after[1].metadata.entries],
        changes: (await backends[1].changes(before[1], after[1])).map(comparable),
      },
    }
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

/** Content ids and line counts are each backend's own. */
function comparable({ path, status, before, after, renamedFrom }: FileChange) {
  const state = (side: EntryState | null) =>
    side === null ? null : `${side.type} ${side.mode.toString(8)} ${side.size}`
  return { path, status, before: state(before), after: state(after), renamedFrom: renamedFrom ?? null }
}

test('git and hash report the same changes for any edits', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (drawn) => {
      const reports = await compare(drawn, null, onlyGit)
      expect(reports.git).toEqual(reports.hash)
    }),
    { numRuns: 40 },
  )
})

test('git and hash report the same changes when they ignore the same', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (drawn) => {
      const reports = await compare(drawn, 'b\n/c/a\n*.b\n', {
        ...onlyGit,
        paths: ['.git', 'b', 'c/a'],
        globs: ['*.b'],
      })
      expect(reports.git).toEqual(reports.hash)
    }),
    { numRuns: 20 },
  )
})
