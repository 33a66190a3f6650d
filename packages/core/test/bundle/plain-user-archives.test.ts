import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { giveToPlainUser, isNamespace, plainUserDirectory, runAsPlainUser } from '../support/plain-user.ts'

const script = join(import.meta.dirname, 'plain-user-archives.ts')
const foreign = join(import.meta.dirname, 'foreign-directories.ts')

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

  it.runIf(process.getuid?.() === 0 && !isNamespace)(
    'is told which directory of somebody else cannot go, before anything is changed',
    async () => {
      const base = plainUserDirectory()
      for (const name of ['loaded', 'extracted', 'rubbish']) {
        mkdirSync(join(base, name, 'mine/theirs'), { recursive: true })
        writeFileSync(join(base, name, 'mine/theirs/file'), 'old')
        writeFileSync(join(base, name, 'plain'), 'old')
        giveToPlainUser(join(base, name), join(base, name, 'mine'), join(base, name, 'plain'))
      }
      mkdirSync(join(base, 'moved/theirs'), { recursive: true })
      writeFileSync(join(base, 'moved/plain'), 'old')
      giveToPlainUser(join(base, 'moved'))
      const denied = (path: string) => ({ code: 'ACCESS_DENIED', details: { path } })
      expect(JSON.parse(await runAsPlainUser(foreign, [base]))).toMatchObject({
        loaded: denied('mine/theirs'),
        extracted: denied('mine/theirs'),
        moved: denied('theirs'),
        plain: ['old', 'old', 'old'],
        besideRubbish: 'done',
      })
    },
  )
})
