import {
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { applyUpdate } from '../../src/filesystem/apply-update.ts'
import { toByteString } from '../../src/filesystem/directory-handle.ts'
import { foundEntry, identityOf } from '../../src/filesystem/found-entry.ts'
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

interface Step {
  readonly name: string
  /** What comes in: the text of a file, or what a directory holds. */
  readonly comes?: string | Readonly<Record<string, string>>
  /** In that directory, another name of what the first step brings. */
  readonly link?: string
}

/** Makes an update of the target as far as it goes and dies on the way back, before the first step of that. */
async function updateAndDie(
  target: string,
  steps: readonly Step[],
  meddle: () => void,
  knowsWhatCame = true,
) {
  const work = createWorkDirectory(target, false)
  mkdirSync(join(work.path, 'old'))
  const entries = steps.map(({ name, comes, link }, number) => {
    const staged = join(work.path, 'new', String(number))
    if (typeof comes === 'string') writeFileSync(staged, comes)
    else if (comes !== undefined) {
      mkdirSync(staged)
      writeFiles(staged, comes)
    }
    if (link !== undefined) linkSync(join(work.path, 'new', '0'), join(staged, link))
    const before = lstatSync(join(target, name), { bigint: true, throwIfNoEntry: false })
    const goes = before === undefined ? null : foundEntry(before)
    const isKnown = comes !== undefined && knowsWhatCame
    const came = isKnown ? { came: identityOf(lstatSync(staged, { bigint: true })) } : {}
    return { name: toByteString(name), number, goes, comes: comes !== undefined, ...came }
  })
  const journal: UpdateJournal = { directories: [{ ...directoryUpdate(target, []), entries }] }
  writeJournal(work.path, journal)
  // Within a tick of the clock that file times are taken from, nobody can tell what came later.
  const writtenNs = lstatSync(join(work.path, 'journal'), { bigint: true }).mtimeNs
  const probe = join(work.path, 'probe')
  do writeFileSync(probe, '')
  while (lstatSync(probe, { bigint: true }).mtimeNs <= writtenNs)
  await applyUpdate(work.path, target, journal, 'refuse', timeSlice())
  meddle()
  beginUndo(work.path)
  abandonWorkDirectory(work.path)
}

const text = (path: string): string => readFileSync(path, 'utf8')

it('an update that is taken back leaves what somebody else has put or written where nothing was', async () => {
  const target = join(temporaryDirectory(), 'target')
  mkdirSync(target)
  const at = (name: string): string => join(target, name)
  const tree = {
    'ours.txt': 'ours',
    'deep/ours.txt': 'ours',
    'deep/edited.txt': 'ours',
    'whole/ours.txt': 'ours',
  }
  const steps = [
    { name: 'untouched', comes: 'ours' },
    { name: 'replaced', comes: 'ours' },
    { name: 'edited', comes: 'ours' },
    { name: 'tree', comes: tree },
    { name: 'untouched-tree', comes: tree },
    { name: 'made-anew', comes: {} },
  ]
  writeFiles(join(target, '../elsewhere'), { 'moved/old.txt': 'foreign' })
  await updateAndDie(target, steps, () => {
    unlinkSync(at('replaced'))
    writeFileSync(at('replaced'), 'foreign')
    writeFileSync(at('edited'), 'foreign')
    writeFiles(target, { 'tree/deep/new.txt': 'foreign', 'tree/deep/edited.txt': 'foreign' })
    // What is in it has older times than all that came in.
    renameSync(join(target, '../elsewhere/moved'), at('tree/moved'))
    rmSync(at('made-anew'), { recursive: true })
    mkdirSync(at('made-anew'))
  })
  expect(await recoverDirectory(target)).toBe('undone')
  expect(readdirSync(target).toSorted()).toEqual(['edited', 'made-anew', 'replaced', 'tree'])
  for (const name of [
    'edited',
    'replaced',
    'tree/deep/new.txt',
    'tree/deep/edited.txt',
    'tree/moved/old.txt',
  ])
    expect(text(at(name))).toBe('foreign')
  // What is ours is gone, but for a directory in which names came or went: what is in it may be anybody's.
  expect(readdirSync(at('tree')).toSorted()).toEqual(['deep', 'moved'])
  expect(readdirSync(join(target, '..')).filter((name) => name.startsWith('.ws-work'))).toEqual([])
})

it('an update that is taken back leaves what is in the place of what has to come back, names it, and ends when it is gone', async () => {
  const target = join(temporaryDirectory(), 'target')
  const at = (name: string): string => join(target, name)
  writeFiles(target, { changed: 'old', edited: 'old', removed: 'old', became: 'old', untouched: 'old' })
  const steps = [
    { name: 'changed', comes: 'new' },
    { name: 'edited', comes: 'new' },
    { name: 'removed' },
    { name: 'became', comes: { 'inside/ours.txt': 'new', 'ours.txt': 'new' } },
    { name: 'untouched', comes: 'new' },
  ]
  await updateAndDie(target, steps, () => {
    unlinkSync(at('changed'))
    writeFiles(target, { changed: 'foreign', edited: 'foreign', removed: 'foreign' })
    writeFiles(target, { 'became/inside/foreign.txt': 'foreign' })
  })
  const names = ['became/inside', 'changed', 'edited', 'removed']
  for (const attempt of [1, 2]) {
    const error: unknown = await recoverDirectory(target).catch((failure: unknown) => failure)
    expect(error, `attempt ${attempt}`).toMatchObject({ code: 'CONFLICT' })
    expect((error as { details: { paths: string[] } }).details.paths.toSorted()).toEqual(names)
    for (const name of ['changed', 'edited', 'removed', 'became/inside/foreign.txt'])
      expect(text(at(name))).toBe('foreign')
    expect(existsSync(at('became/ours.txt'))).toBe(false)
    expect(text(at('untouched'))).toBe('old')
  }
  for (const name of ['changed', 'edited', 'removed', 'became']) rmSync(at(name), { recursive: true })
  expect(await recoverDirectory(target)).toBe('undone')
  for (const { name } of steps) expect(text(at(name))).toBe('old')
})

it('an update that is taken back takes all names of its hard-linked files back', async () => {
  const target = join(temporaryDirectory(), 'target')
  mkdirSync(target)
  const steps: Step[] = [
    { name: 'first', comes: 'ours' },
    { name: 'tree', comes: {}, link: 'other' },
  ]
  // Moving the first name gives the other one a later change time, too.
  await updateAndDie(target, steps, () => undefined)
  expect(await recoverDirectory(target)).toBe('undone')
  expect(readdirSync(target)).toEqual([])
})

it('the journal of an older version, which does not say what came, is taken back all the same', async () => {
  const target = join(temporaryDirectory(), 'target')
  writeFiles(target, { changed: 'old', became: 'old' })
  const steps = [
    { name: 'changed', comes: 'new' },
    { name: 'became', comes: { 'ours.txt': 'new' } },
    { name: 'came', comes: 'new' },
  ]
  await updateAndDie(target, steps, () => undefined, false)
  expect(await recoverDirectory(target)).toBe('undone')
  expect(readdirSync(target).toSorted()).toEqual(['became', 'changed'])
  for (const name of ['changed', 'became']) expect(text(join(target, name))).toBe('old')
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
  for (const damaged of [text.slice(0, -'end\n'.length), text.slice(0, -1), `${text}x`]) {
    writeFileSync(join(work, 'journal'), damaged)
    expect(() => readJournal(work)).toThrow(expect.objectContaining({ code: 'CORRUPT' }))
  }
})
