import { describe, expect, it } from 'vitest'
import { planRollback } from '../../../src/snapshot/rollback/plan-rollback.ts'
import type { Delta, StateEntry } from '../../../src/snapshot/rollback/rollback-source.ts'

const file: StateEntry = {
  type: 'file',
  mode: 0o644,
  size: 1,
  content: 'forged',
  modifiedAt: null,
  hardLinkGroup: null,
}
const directory: StateEntry = { type: 'directory', mode: 0o755, isEmpty: true }

describe('a state that names a place where nothing may be written', () => {
  const places = [
    '..',
    '.',
    '',
    '/etc/passwd',
    '../up',
    'a/../../up',
    'a/./b',
    'a//b',
    'a/',
    '.git',
    'a/.GIT/config',
  ]
  it.each(places)('gives no plan, whatever was to happen there: %j (case 51)', (path) => {
    const sides: [StateEntry | null, StateEntry | null][] = [
      [null, file],
      [file, null],
      [file, { ...file, mode: 0o755 }],
      [null, directory],
      [directory, null],
      [directory, file],
    ]
    for (const [before, after] of sides) {
      const bad: Delta = { path, before, after, hasSameContent: false }
      const good: Delta = { path: 'good', before: null, after: file, hasSameContent: false }
      expect(() =>
        planRollback([good, bad], new Map(), { isEmptyNow: () => true, hasOtherNames: () => false }),
      ).toThrow(expect.objectContaining({ code: 'UNSAFE_PATH', details: { path } }))
    }
  })
})
