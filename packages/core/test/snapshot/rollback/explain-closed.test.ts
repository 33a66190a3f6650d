import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { unproven } from '../../../src/snapshot/rollback/complete-rollback.ts'
import { checkPlaces } from '../../../src/snapshot/rollback/check-places.ts'
import { planRollback } from '../../../src/snapshot/rollback/plan-rollback.ts'
import type { LeafEntry, PresentState } from '../../../src/snapshot/rollback/rollback-source.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

const file: LeafEntry = {
  type: 'file',
  mode: 0o644,
  size: 1,
  content: 'x',
  modifiedAt: null,
  hardLinkGroup: null,
}
/** What a capture says of a file that belongs to somebody else. */
const present = { unreadable: ['a.txt'], isAsCaptured: () => false } as unknown as PresentState
const advice = /Let this user read what is there \(as its owner: chmod -R u\+rX "a\.txt", or chown it\)/

describe('what stays closed to a rollback', () => {
  it('stops it before it begins, and the error says who can let it in', async () => {
    const root = temporaryDirectory()
    writeFileSync(join(root, 'a.txt'), 'x')
    chmodSync(join(root, 'a.txt'), 0)
    const delta = { path: 'a.txt', before: file, after: { ...file, content: 'y' }, hasSameContent: false }
    const look = { isEmptyNow: () => false, hasOtherNames: () => false }
    const checked = checkPlaces(root, planRollback([delta], new Map(), look), present)
    await expect(checked).rejects.toMatchObject({ code: 'CONFLICT', details: { paths: ['a.txt'] } })
    await expect(checked).rejects.toThrow(advice)
  })

  it('is told apart from what somebody writes, where it shows afterwards only', () => {
    expect(unproven(['a.txt', 'b.txt'], present).message).toMatch(advice)
    expect(unproven(['b.txt'], present).message).toMatch(/Stop what writes there/)
  })
})
