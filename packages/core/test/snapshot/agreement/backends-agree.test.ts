import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { openBundleBackend } from '../../../src/snapshot/bundle/open-bundle-backend.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { HashIgnoreOptions } from '../../../src/snapshot/hash/ignore-rules.ts'
import { openHashBackend } from '../../../src/snapshot/hash/open-hash-backend.ts'
import type { SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import type { EntryState, FileChange, Snapshot } from '../../../src/snapshot/snapshot.ts'
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

type Report = {
  readonly entries: readonly number[]
  readonly changes: readonly unknown[]
  readonly binary: readonly unknown[]
}

/** Runs the scenario once and gives what each backend makes of it. */
async function compare(
  { committed, pending, edits }: Scenario,
  gitignore: string | null,
  ignore: HashIgnoreOptions,
): Promise<Report[]> {
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
    const stateDirectory = join(base, 'state')
    const backends = [
      await openGitBackend({ path, stateDirectory }),
      await openHashBackend({ path, stateDirectory, ignore }),
      await openBundleBackend({ path, stateDirectory, ignore }),
    ].filter((backend) => backend !== null)
    const captures: { backend: SnapshotBackend; before: Snapshot }[] = []
    for (const backend of backends) captures.push({ backend, before: await backend.capture({ label: 'x' }) })
    for (const step of edits) applyEdit(path, step)
    const reports: Report[] = []
    for (const { backend, before } of captures) {
      const after = await backend.capture({ label: 'x', previous: before })
      const changes = await backend.changes(before, after)
      reports.push({
        entries: [before.metadata.entries, after.metadata.entries],
        changes: changes.map(comparable),
        binary: changes.map(({ binary, insertions }) => [binary, insertions === null]),
      })
    }
    return reports
  } finally {
    rmSync(base, { recursive: true, force: true })
  }
}

function expectAgreement(reports: readonly Report[]): void {
  const [byGit, byHash, byBundle] = reports
  expect(reports).toHaveLength(3)
  expect(byGit?.changes).toEqual(byHash?.changes)
  expect(byGit?.entries).toEqual(byHash?.entries)
  expect(byBundle?.changes).toEqual(byHash?.changes)
  expect(byBundle?.entries).toEqual(byHash?.entries)
  expect(byBundle?.binary).toEqual(byGit?.binary)
}

/** Content ids and line counts are each backend's own. */
function comparable({ path, status, before, after, renamedFrom }: FileChange) {
  const state = (side: EntryState | null) =>
    side === null ? null : `${side.type} ${side.mode.toString(8)} ${side.size}`
  return { path, status, before: state(before), after: state(after), renamedFrom: renamedFrom ?? null }
}

test.each([0o755, 0o600])(
  'a binary file whose mode alone became %o has no lines that differ',
  async (mode) => {
    const file = { path: ['a'], content: Buffer.from([0, 1]), mode: 0o644 }
    const edits: Edit[] = [{ kind: 'chmod', path: ['a'], mode }]
    const reports = await compare(
      { committed: [{ kind: 'write', ...file }], pending: [], edits },
      null,
      onlyGit,
    )
    expectAgreement(reports)
    expect(reports[0]?.binary).toEqual([[false, false]])
  },
)

test('git, hash and bundle report the same changes for any edits', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (drawn) => {
      expectAgreement(await compare(drawn, null, onlyGit))
    }),
    { numRuns: 40 },
  )
})

test('git, hash and bundle report the same changes when they ignore the same', async () => {
  await fc.assert(
    fc.asyncProperty(scenario, async (drawn) => {
      const ignore = { ...onlyGit, paths: ['.git', 'b', 'c/a'], globs: ['*.b'] }
      expectAgreement(await compare(drawn, 'b\n/c/a\n*.b\n', ignore))
    }),
    { numRuns: 20 },
  )
})
