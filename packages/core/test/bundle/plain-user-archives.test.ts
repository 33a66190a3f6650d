import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { plainUserDirectory, runAsPlainUser } from '../support/plain-user.ts'

const script = join(import.meta.dirname, 'plain-user-archives.ts')

describe.runIf(process.platform === 'linux')('Somebody without privileges', () => {
  it('takes archives with closed and read-only directories, also where such are there', async () => {
    const { upload, ...others } = JSON.parse(await runAsPlainUser(script, [plainUserDirectory()]))
    expect(upload).toMatchObject({ version: 1, skipped: [{ path: 'closed', reason: 'unreadable' }] })
    expect(others).toMatchObject({
      loads: ['done', 'done', 'done'],
      replacing: ['done', 'done', 'done'],
      merging: {
        readOnly: ['555', '555', '555'].map((mode) => ['done', `${mode}, file: new, other: old`]),
        closed: ['0', '0'].map((mode) => ['done', `${mode}, file: new, other: old`]),
        implied: ['555', '0'].map((mode) => ['done', `${mode}, file: new, other: old`]),
        refused: [{ code: 'CONFLICT', details: { path: '\u00e9' } }, '0, file: old, other: old'],
      },
      left: ['loaded', 'merged', 'replaced', 'temporary'],
    })
  })
})
