import { lstatSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { applyUpdate, foundEntry } from '../../src/filesystem/apply-update.ts'
import { toByteString } from '../../src/filesystem/directory-handle.ts'
import { timeSlice } from '../../src/filesystem/time-slice.ts'
import { beginUndo, writeJournal, type UpdateJournal } from '../../src/filesystem/update-journal.ts'
import {
  abandonWorkDirectory,
  createWorkDirectory,
  recoverDirectory,
} from '../../src/filesystem/work-directory.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

it('an update that is taken back leaves what somebody else has put in a place, names it, and ends when it is gone', async () => {
  const target = join(temporaryDirectory(), 'target')
  writeFiles(target, { 'before.txt': 'old', 'größe/old.txt': 'old', 'after.txt': 'old' })
  const names = ['before.txt', 'größe', 'after.txt']
  const work = createWorkDirectory(target, false)
  mkdirSync(join(work.path, 'old'))
  names.forEach((_, number) => writeFileSync(join(work.path, 'new', String(number)), 'new'))
  const fields = { mode: 0o755, seconds: 1_000_000_000, nanoseconds: 0 }
  const found = (name: string) => foundEntry(lstatSync(join(target, name), { bigint: true }))
  const root = {
    path: [],
    inode: lstatSync(target, { bigint: true }).ino.toString(),
    before: fields,
    after: fields,
    entries: names.map((name, number) => ({
      name: toByteString(name),
      number,
      goes: found(name),
      comes: true,
    })),
    fields: [],
  }
  const journal: UpdateJournal = { directories: [root] }
  writeJournal(work.path, journal)
  await applyUpdate(work.path, target, journal, 'refuse', timeSlice())
  // What a killed process leaves behind that was on its way back, while somebody else was there.
  beginUndo(work.path)
  abandonWorkDirectory(work.path)
  rmSync(join(target, 'größe'))
  writeFiles(target, { 'größe/foreign.txt': 'foreign' })

  await expect(recoverDirectory(target)).rejects.toMatchObject({
    code: 'CONFLICT',
    details: { paths: ['größe'] },
  })
  expect(readFileSync(join(target, 'größe/foreign.txt'), 'utf8')).toBe('foreign')
  for (const name of ['before.txt', 'after.txt']) expect(readFileSync(join(target, name), 'utf8')).toBe('old')

  rmSync(join(target, 'größe'), { recursive: true })
  expect(await recoverDirectory(target)).toBe('undone')
  expect(readFileSync(join(target, 'größe/old.txt'), 'utf8')).toBe('old')
})
