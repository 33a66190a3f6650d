import { execFileSync } from 'node:child_process'
import { chmodSync, lstatSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { WorkspaceError } from '../../../src/errors.ts'
import { openBundleBackend } from '../../../src/snapshot/bundle/open-bundle-backend.ts'
import { toBytePath } from '../../../src/snapshot/byte-path.ts'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import type { RollbackResult, SnapshotBackend } from '../../../src/snapshot/snapshot-backend.ts'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'
import { applyEdit, edit, type Edit } from '../agreement/apply-edits.ts'
import {
  backends,
  createRollbackFixture,
  describeTree,
  type BackendName,
  type RollbackFixture,
} from '../rollback/rollback-fixture.ts'
import { runUserGit } from '../git/git-fixture.ts'

const limits = { maxFileBytes: 100 }

async function openWithLimits(name: BackendName, fixture: RollbackFixture): Promise<SnapshotBackend> {
  const options = { path: fixture.path, stateDirectory: fixture.stateDirectory, limits }
  const backend = name === 'git' ? await openGitBackend(options) : openBundleBackend(options)
  if (backend === null) throw new Error('no repository')
  return backend
}

/** What no snapshot captures: pipes, files over the limit, and for git what rules ignore. */
type Step =
  | Edit
  | { readonly kind: 'pipe'; readonly path: readonly string[] }
  | { readonly kind: 'large'; readonly path: readonly string[] }
  | { readonly kind: 'rules'; readonly path: readonly string[]; readonly rules: string }

const place = fc.array(fc.constantFrom('a', 'b', 'c', 'new\nline'), { minLength: 1, maxLength: 3 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: edit },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('pipe' as const), path: place }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('large' as const), path: place }) },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant('rules' as const),
      path: fc.constantFrom([], ['b']),
      rules: fc.constantFrom('', 'a\n', 'b/\n', '/c\n!c/a\n', '*\n!b\n'),
    }),
  },
)

function apply(root: string, each: Step): void {
  if (each.kind === 'pipe' || each.kind === 'large' || each.kind === 'rules') {
    const path = each.kind === 'rules' ? [...each.path, '.gitignore'] : each.path
    const content = each.kind === 'rules' ? Buffer.from(each.rules) : Buffer.alloc(200, 'x')
    applyEdit(root, { kind: 'write', path, content, mode: 0o644 })
    if (each.kind !== 'pipe') return
    rmSync(join(root, ...path))
    execFileSync('mkfifo', [join(root, ...path)])
  } else applyEdit(root, each)
}

function leftOutBy(snapshot: Snapshot): (path: string) => boolean {
  const { examples, omitted } = snapshot.coverage
  expect(examples).toHaveLength(Object.values(omitted).reduce((sum, count) => sum + count))
  const paths = new Set(examples.map(({ path }) => toBytePath(path)))
  return (path) => path.split('/').some((_, end, parts) => paths.has(parts.slice(0, end + 1).join('/')))
}

type Tree = Readonly<Record<string, string>>

/** What the directory must be: what the target captured as it was then, what it did not as it was just before. */
function expectedTree(before: Snapshot, original: Tree, spoilt: Tree, result: RollbackResult): Tree {
  const [wasLeftOut, isLeftOut] = [leftOutBy(before), leftOutBy(result.guard as Snapshot)]
  const appeared = new Set(result.appeared.map(toBytePath))
  const expected: Record<string, string> = {}
  for (const [path, entry] of Object.entries(original)) if (!wasLeftOut(path)) expected[path] = entry
  for (const [path, entry] of Object.entries(spoilt)) {
    if (expected[path] !== undefined || entry.startsWith('directory')) continue
    if (wasLeftOut(path) || isLeftOut(path) || appeared.has(path)) expected[path] = entry
  }
  for (const [path, entry] of Object.entries(spoilt))
    if (wasLeftOut(path) || isLeftOut(path)) expected[path] ??= entry
  // Directories stay for what is in them.
  const holding = Object.keys(expected)
  for (const [path, entry] of Object.entries(spoilt))
    if (holding.some((held) => held.startsWith(`${path}/`))) expected[path] ??= entry
  return expected
}

async function attempt(
  rollback: Promise<RollbackResult>,
): Promise<RollbackResult | Pick<WorkspaceError, 'code' | 'message'>> {
  return rollback.catch(({ code, message }: WorkspaceError) => ({ code, message }))
}

describe.each(backends)('whatever is there and whatever an agent does, a rollback by %s', (name) => {
  it('touches nothing that no snapshot holds, puts all else back, and does what its dry run said (cases 11, 22, 41, 53, 69, 98)', async () => {
    let carriedOut = 0
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 8 }),
        fc.array(step, { minLength: 1, maxLength: 8 }),
        async (first, second) => {
          const fixture = createRollbackFixture(name)
          const { path } = fixture
          for (const each of first) apply(path, each)
          const backend = await openWithLimits(name, fixture)
          const before = await backend.capture({ label: 'before' })
          const original = describeTree(path)
          for (const each of second) apply(path, each)
          const spoilt = describeTree(path)
          const preview = await attempt(backend.rollback(before, { dryRun: true }))
          expect(describeTree(path)).toEqual(spoilt)
          const result = await attempt(backend.rollback(before))
          if ('code' in result) {
            expect(result).toMatchObject({ code: 'CONFLICT' })
            expect(preview).toEqual(result)
            expect(describeTree(path)).toEqual(spoilt)
            return
          }
          const { restored, deleted, steps } = result
          expect(preview).toMatchObject({ restored, deleted, steps })
          expect(describeTree(path)).toEqual(expectedTree(before, original, spoilt, result))
          await backend.rollback(result.guard as Snapshot)
          expect(describeTree(path)).toEqual(spoilt)
          carriedOut += 1
        },
      ),
      { numRuns: 15 },
    )
    expect(carriedOut).toBeGreaterThan(5)
  })
})

describe.each(backends)('directories that hold nothing captured, with %s', (name) => {
  it('are captured themselves: they come back with their modes, and stay when something in them stays (cases 24, 25, 41)', async () => {
    const fixture = createRollbackFixture(name)
    const { path, write } = fixture
    write('heavy/model.bin', 'x'.repeat(101))
    mkdirSync(join(path, 'pipes/deep'), { recursive: true })
    execFileSync('mkfifo', [join(path, 'pipes/deep/pipe')])
    const backend = await openWithLimits(name, fixture)
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    expect(before.coverage.omitted).toMatchObject({ 'too-large': 1, 'special-file': 1 })

    rmSync(join(path, 'pipes'), { recursive: true })
    write('heavy/notes.txt', 'by the agent')
    write('heavy/deep/other.bin', 'y'.repeat(101))
    const result = await backend.rollback(before)

    const { 'pipes/deep/pipe': _gone, ...restored } = original
    expect(describeTree(path)).toEqual({
      ...restored,
      'heavy/deep': 'directory 755',
      'heavy/deep/other.bin': expect.stringMatching(/^file 644/) as string,
    })
    expect(result).toMatchObject({ restored: ['pipes/deep'], deleted: ['heavy/notes.txt'], verified: true })
    expect(lstatSync(join(path, 'heavy/model.bin')).size).toBe(101)
  })
})

describe('an empty directory that an agent ignores', () => {
  it('stays in view: it shows as neither removed nor changed, and what happens in it is undone (cases 10, 24)', async () => {
    const { path, stateDirectory } = createRollbackFixture('git')
    mkdirSync(join(path, 'out/deep'), { recursive: true })
    mkdirSync(join(path, 'gone'))
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend === null) throw new Error('no repository')
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    // No rollback brings these rules back.
    writeFileSync(join(path, '.git/info/exclude'), 'out\ngone\n')
    const same = await backend.capture({ label: 'same', previous: before })
    expect(same.ref).toBe(before.ref)
    chmodSync(join(path, 'out/deep'), 0o700)
    rmSync(join(path, 'gone'), { recursive: true })
    const after = await backend.capture({ label: 'after', previous: same })
    expect(await backend.changes(before, after)).toMatchObject([
      { path: 'gone', status: 'deleted' },
      { path: 'out/deep', status: 'mode-changed' },
    ])
    const result = await backend.rollback(before, { expected: after })
    expect(result.restored).toEqual(['gone', 'out/deep'])
    expect(describeTree(path)).toEqual(original)
    // By the rules alone they do not count.
    expect((await backend.capture({ label: 'anew' })).metadata.entries).toBe(before.metadata.entries - 2)
  })
})

describe('a file that an agent removed and whose place it ignored', () => {
  it('comes back, and goes again when that is undone, any number of times (cases 42, 60)', async () => {
    const { path, stateDirectory, write } = createRollbackFixture('git')
    write('out/made.txt', 'made')
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend === null) throw new Error('no repository')
    const before = await backend.capture({ label: 'before' })
    rmSync(join(path, 'out/made.txt'))
    write('out/ignored', 'never captured')
    writeFileSync(join(path, '.git/info/exclude'), 'out/\n')
    const spoilt = describeTree(path)
    const { guard } = await backend.rollback(before)
    const restored = { ...spoilt, 'out/made.txt': expect.stringMatching(/^file/) as string }
    expect(describeTree(path)).toEqual(restored)
    const undone = await backend.rollback(guard as Snapshot)
    expect(undone.deleted).toEqual(['out/made.txt'])
    expect(describeTree(path)).toEqual(spoilt)
    const redone = await backend.rollback(undone.guard as Snapshot)
    expect(describeTree(path)).toEqual(restored)
    await backend.rollback(redone.guard as Snapshot)
    expect(describeTree(path)).toEqual(spoilt)
  })
})

describe('a directory that an agent emptied and ignored', () => {
  it('gets the permissions that it had, which a dry run tells, and an undo gives those back that it has now (cases 25, 60, 98)', async () => {
    const { path, stateDirectory, write } = createRollbackFixture('git')
    const modeOf = (name: string) => lstatSync(join(path, name)).mode & 0o777
    write('out/deep/made.txt', 'made')
    write('same/made.txt', 'made')
    chmodSync(join(path, 'out/deep'), 0o700)
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend === null) throw new Error('no repository')
    const before = await backend.capture({ label: 'before' })
    for (const name of ['out/deep', 'same']) {
      rmSync(join(path, name, 'made.txt'))
      write(`${name}/ignored`, 'never captured')
    }
    writeFileSync(join(path, '.git/info/exclude'), 'out/\nsame/\n')
    const believed = await backend.capture({ label: 'without the one before' })
    expect((await backend.rollback(before, { expected: believed })).restored).toHaveLength(2)
    for (const name of ['out/deep', 'same']) rmSync(join(path, name, 'made.txt'))
    chmodSync(join(path, 'out/deep'), 0o755)
    const after = await backend.capture({ label: 'after', previous: before })
    const preview = await backend.rollback(before, { expected: after, dryRun: true })
    const result = await backend.rollback(before, { expected: after })
    expect(result).toMatchObject({
      restored: ['out/deep', 'out/deep/made.txt', 'same/made.txt'],
      deleted: [],
    })
    expect(preview.restored).toEqual(result.restored)
    expect(modeOf('out/deep')).toBe(0o700)
    const undone = await backend.rollback(result.guard as Snapshot)
    expect(undone).toMatchObject({ restored: ['out/deep'], deleted: ['out/deep/made.txt', 'same/made.txt'] })
    expect(modeOf('out/deep')).toBe(0o755)
    expect(lstatSync(join(path, 'out/deep/ignored')).size).toBe(14)
  })
})

describe('an ignored directory in the place of a captured file, or around a captured directory that is gone', () => {
  it('is captured itself, so that a rollback can put it away and back again (cases 24, 25, 52, 60)', async () => {
    const { path, stateDirectory, write } = createRollbackFixture('git')
    write('out/file', 'captured')
    mkdirSync(join(path, 'around/empty'), { recursive: true })
    chmodSync(join(path, 'around'), 0o700)
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend === null) throw new Error('no repository')
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    writeFileSync(join(path, '.git/info/exclude'), 'out/\naround/\n')
    rmSync(join(path, 'out/file'))
    mkdirSync(join(path, 'out/file'))
    rmSync(join(path, 'around/empty'), { recursive: true })
    chmodSync(join(path, 'around'), 0o755)
    const spoilt = describeTree(path)
    const { restored, guard } = await backend.rollback(before)
    expect(restored).toEqual(['around', 'around/empty', 'out/file'])
    expect(describeTree(path)).toEqual(original)
    await backend.rollback(guard as Snapshot)
    expect(describeTree(path)).toEqual(spoilt)
  })
})

describe('an ignored directory that holds a tracked file', () => {
  it('shows a change of its permissions alone, and gets them back (cases 2, 25)', async () => {
    const { path, stateDirectory, write } = createRollbackFixture('git')
    write('out/tracked.txt', 'tracked')
    runUserGit(path, 'add', 'out')
    write('.gitignore', 'out/\n')
    const backend = await openGitBackend({ path, stateDirectory })
    if (backend === null) throw new Error('no repository')
    const before = await backend.capture({ label: 'before' })
    expect((await backend.capture({ label: 'same' })).ref).toBe(before.ref)
    chmodSync(join(path, 'out'), 0o700)
    expect((await backend.capture({ label: 'after', previous: before })).ref).not.toBe(before.ref)
    expect((await backend.rollback(before)).restored).toEqual(['out'])
    expect(lstatSync(join(path, 'out')).mode & 0o777).toBe(0o755)
  })
})

describe('a directory whose ignored part is searched for precious files', () => {
  it('is captured although none is there (case 24)', async () => {
    const { path, stateDirectory, write } = createRollbackFixture('git')
    write('.gitignore', 'cache\n')
    mkdirSync(join(path, 'app/cache'), { recursive: true })
    writeFileSync(join(path, 'app/cache/data'), 'derived')
    const backend = await openGitBackend({ path, stateDirectory, precious: ['app/cache/.env'] })
    const before = await backend?.capture({ label: 'before' })
    if (backend === null || before === undefined) throw new Error('no repository')
    rmSync(join(path, 'app'), { recursive: true })
    expect((await backend.rollback(before)).restored).toEqual(['app'])
  })
})
