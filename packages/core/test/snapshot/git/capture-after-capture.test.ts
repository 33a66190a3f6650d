import { chmodSync, lstatSync, mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { openGitBackend } from '../../../src/snapshot/git/open-git-backend.ts'
import { createFixture, createScratch } from './git-fixture.ts'

// Names that sort before and after a slash, where the order of a tree and that of names differ.
const segment = fc.constantFrom('a', 'a-b', 'a.b', 'a0', 'b')
const place = fc.array(segment, { minLength: 1, maxLength: 3 }).map((names) => names.join('/'))
const rulesFile = place.map((path) => `${path}/.gitignore`)
const edit = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), place, text: fc.string() }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('remove' as const), place }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('mkdir' as const), place }) },
  // The names stay, the time of the directory does not.
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('replace' as const), place, text: fc.string() }) },
  {
    weight: 1,
    arbitrary: fc.record({ kind: fc.constant('write' as const), place: rulesFile, text: segment }),
  },
  {
    weight: 2,
    arbitrary: fc.record({ kind: fc.constant('chmod' as const), place, mode: fc.constantFrom(0o700, 0o750) }),
  },
)

type Edit = typeof edit extends fc.Arbitrary<infer T> ? T : never

describe('a capture that builds on the one before', () => {
  it('finds the state that one without any before it finds, whatever has changed in between', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(edit, { minLength: 1, maxLength: 4 }), { maxLength: 5 }),
        async (turns) => {
          const { path, open } = createFixture()
          const backend = await open()
          await backend.capture({ label: 'x' })
          for (const edits of turns) {
            for (const each of edits) apply(path, each)
            const stateDirectory = createScratch()
            const anew = await openGitBackend({ path, stateDirectory })
            const expected = await anew?.capture({ label: 'x' })
            const { ref, metadata, coverage } = await backend.capture({ label: 'x' })
            expect({ ref, metadata, coverage }).toEqual({
              ref: expected?.ref,
              metadata: expected?.metadata,
              coverage: expected?.coverage,
            })
          }
        },
      ),
      { numRuns: 25 },
    )
  }, 120_000)

  it('finds each file again after one that was over a limit has come among them', async () => {
    const { path, stateDirectory, write } = createFixture()
    const limited = { path, stateDirectory, limits: { maxFileBytes: 100 } }
    for (const name of ['b', 'd', 'f']) write(name, name)
    write('c', 'c'.repeat(200))
    const backend = await openGitBackend(limited)
    const first = await backend?.capture({ label: 'x' })
    expect(first?.coverage.complete).toBe(false)
    write('c', 'small')
    await backend?.capture({ label: 'x' })
    for (const name of ['c', 'd']) {
      write(name, `edited ${name}`)
      const again = await backend?.capture({ label: 'x' })
      const anew = await openGitBackend({ ...limited, stateDirectory: createScratch() })
      expect(again?.ref, name).toBe((await anew?.capture({ label: 'x' }))?.ref)
    }
  })
})

/** What cannot be done is left. */
function apply(root: string, { place: name, ...each }: Edit): void {
  const target = join(root, name)
  try {
    if (each.kind === 'remove') rmSync(target, { recursive: true, force: true })
    else if (each.kind === 'mkdir') mkdirSync(target, { recursive: true })
    else if (each.kind === 'replace') {
      if (lstatSync(target).isDirectory()) return
      writeFileSync(`${root}/.git/written`, each.text)
      renameSync(`${root}/.git/written`, target)
    } else if (each.kind === 'chmod')
      chmodSync(target, each.mode & (lstatSync(target).isFile() ? 0o666 : 0o777))
    else {
      mkdirSync(dirname(target), { recursive: true })
      writeFileSync(target, each.text)
    }
  } catch {
    // A file is where a directory would be, or nothing is there.
  }
}
