import { lstatSync, mkdirSync, readFileSync, readdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { applyUpdate, foundEntry } from '../../src/filesystem/apply-update.ts'
import { toByteString } from '../../src/filesystem/directory-handle.ts'
import { timeSlice } from '../../src/filesystem/time-slice.ts'
import {
  beginUndo,
  readJournal,
  writeJournal,
  type FieldsUpdate,
  type UpdateJournal,
} from '../../src/filesystem/update-journal.ts'
import {
  abandonWorkDirectory,
  createWorkDirectory,
  recoverDirectory,
} from '../../src/filesystem/work-directory.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

const fields = { mode: 0o755, seconds: 1_000_000_000, nanoseconds: 0 }

function directoryUpdate(target: string, path: readonly string[]) {
  const inode = lstatSync(join(target, ...path), { bigint: true }).ino.toString()
  return { path, inode, before: fields, after: fields, entries: [], fields: [] as FieldsUpdate[] }
}

it('an update that is taken back leaves what somebody else has put in a place, names it, and ends when it is gone', async () => {
  const target = join(temporaryDirectory(), 'target')
  writeFiles(target, { 'before.txt': 'old', 'größe/old.txt': 'old', 'after.txt': 'old' })
  const names = ['before.txt', 'größe', 'after.txt']
  const work = createWorkDirectory(target, false)
  mkdirSync(join(work.path, 'old'))
  names.forEach((_, number) => writeFileSync(join(work.path, 'new', String(number)), 'new'))
  const found = (name: string) => foundEntry(lstatSync(join(target, name), { bigint: true }))
  const root = {
    ...directoryUpdate(target, []),
    entries: names.map((name, number) => ({
      name: toByteString(name),
      number,
      goes: found(name),
      comes: true,
    })),
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

it('an update leaves what somebody put in a free place, changed or exchanged since it was looked at, and names it', async () => {
  const target = join(temporaryDirectory(), 'target')
  writeFiles(target, { changed: 'old', untouched: 'old', file: 'old', 'directory/inside': 'old' })
  const found = (name: string) => foundEntry(lstatSync(join(target, name), { bigint: true }))
  const names = ['free', 'changed', 'untouched']
  const journal: UpdateJournal = {
    directories: [
      {
        ...directoryUpdate(target, []),
        entries: names.map((name, number) => ({
          name,
          number,
          goes: name === 'free' ? null : found(name),
          comes: true,
        })),
        fields: [{ name: 'file', found: found('file'), before: fields, after: { ...fields, mode: 0o700 } }],
      },
      {
        ...directoryUpdate(target, ['directory']),
        entries: [{ name: 'inside', number: 3, goes: found('directory/inside'), comes: false }],
      },
    ],
  }
  const work = createWorkDirectory(target, false)
  mkdirSync(join(work.path, 'old'))
  names.forEach((_, number) => writeFileSync(join(work.path, 'new', String(number)), 'new'))
  writeFiles(target, {
    free: 'foreign',
    changed: 'foreign',
    'file.new': 'foreign',
    'other/inside': 'foreign',
  })
  renameSync(join(target, 'file.new'), join(target, 'file'))
  renameSync(join(target, 'directory'), join(target, 'moved'))
  renameSync(join(target, 'other'), join(target, 'directory'))

  const refused = applyUpdate(work.path, target, journal, 'refuse', timeSlice())
  await expect(refused).rejects.toMatchObject({ code: 'CONFLICT' })
  const kept = await applyUpdate(work.path, target, journal, 'keep', timeSlice())
  expect(kept).toEqual(['free', 'changed', 'file', 'directory'])
  for (const name of ['free', 'changed', 'file', 'directory/inside'])
    expect(readFileSync(join(target, name), 'utf8')).toBe('foreign')
  expect(lstatSync(join(target, 'file')).mode & 0o777).not.toBe(0o700)
  expect(readFileSync(join(target, 'untouched'), 'utf8')).toBe('new')
  expect(readdirSync(join(target, 'moved'))).toEqual(['inside'])
})

it('a journal that is cut off, or leads out of its directory, is refused', () => {
  const target = join(temporaryDirectory(), 'target')
  mkdirSync(target)
  const { path: work } = createWorkDirectory(target, false)
  for (const path of [['..'], ['a', '..'], ['a/../..'], ['.'], ['']]) {
    writeJournal(work, { directories: [{ ...directoryUpdate(target, []), path }] })
    expect(() => readJournal(work)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  }
  writeJournal(work, { directories: [directoryUpdate(target, [])] })
  const text = readFileSync(join(work, 'journal'), 'utf8')
  expect(readJournal(work)?.directories).toHaveLength(1)
  writeFileSync(join(work, 'journal'), text.slice(0, -'end\n'.length))
  expect(() => readJournal(work)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
})
