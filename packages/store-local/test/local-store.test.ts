import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { objectStoreChecks, runCheck } from '@ws/conformance'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { localStore } from '../src/index.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'store-local-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

it('claims everything but signed URLs', () => {
  expect(localStore({ root }).capabilities).toEqual({
    createIfAbsent: 'atomic',
    replaceIfMatch: 'atomic',
    rangeReads: true,
    metadata: true,
    signedUrls: false,
  })
})

describe.each(['fsync', 'none'] as const)('durability %s', (durability) => {
  for (const check of objectStoreChecks) {
    it(check.name, async () => {
      await runCheck(check, localStore({ root, durability }))
    })
  }
})
