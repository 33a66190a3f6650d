import { existsSync, lstatSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../errors.ts'
import type { ByteString } from './directory-handle.ts'
import { errnoOf } from './filesystem-error.ts'

/**
 * Changes to a directory that is in use, complete and in order, written down before the first is made. What goes in lies
 * in the work directory as `new/<number>`, what goes out is moved to `old/<number>`: each step shows by itself whether it
 * was made, so a journal can be ended or taken back at any point.
 */
export interface UpdateJournal {
  /** Parents before children. */
  readonly directories: readonly DirectoryUpdate[]
}

/** What changes in one directory, which is there before and after. */
export interface DirectoryUpdate {
  /** Names from the target down. */
  readonly path: readonly ByteString[]
  /** The directory that was looked at; another one of that name is left alone. */
  readonly inode: string
  readonly before: EntryFields
  readonly after: EntryFields
  readonly entries: readonly EntryUpdate[]
  readonly fields: readonly FieldsUpdate[]
}

/** An entry that comes, goes or is replaced. */
export interface EntryUpdate {
  readonly name: ByteString
  readonly number: number
  /** What is there now and goes; `null`: nothing. */
  readonly goes: FoundEntry | null
  readonly comes: boolean
  /** What comes, so that the way back takes nothing else away (`identityOf`). Journals of older versions do not say. */
  readonly came?: string
}

/** A file that stays and gets another mode or time. */
export interface FieldsUpdate {
  readonly name: ByteString
  readonly found: FoundEntry
  readonly before: EntryFields
  readonly after: EntryFields
}

/** Tells whether an entry is still the one that was looked at. */
export interface FoundEntry {
  readonly isDirectory: boolean
  readonly inode: string
  readonly mtimeNs: string
  /** `null` where it says nothing. */
  readonly ctimeNs: string | null
}

export interface EntryFields {
  readonly mode: number
  readonly seconds: number
  readonly nanoseconds: number
}

const WRITTEN = 'journal'
const APPLIED = 'journal-applied'
const UNDOING = 'journal-undoing'

const HEADER = 'ws-update 1'
const FOOTER = 'end'

/** From here on the update will be made: a process that finds the journal of a dead one ends it. */
export function writeJournal(work: string, journal: UpdateJournal): void {
  const lines = [HEADER, ...journal.directories.map((directory) => JSON.stringify(directory))]
  const temporary = join(work, 'journal.new')
  writeFileSync(temporary, `${lines.join('\n')}\n${FOOTER}\n`, { flag: 'wx', mode: 0o600 })
  renameSync(temporary, join(work, WRITTEN))
}

/** The update is made; what is left in the work directory is rubbish. */
export function closeJournal(work: string): void {
  renameSync(join(work, WRITTEN), join(work, APPLIED))
}

export function isApplied(work: string): boolean {
  return existsSync(join(work, APPLIED))
}

/** From here on there is only the way back: what came in is overwritten by what was there. */
export function beginUndo(work: string): void {
  renameSync(join(work, WRITTEN), join(work, UNDOING))
}

/** `null`: none was written, so nothing was changed. @throws `CORRUPT` */
export function readJournal(work: string): UpdateJournal | null {
  return readJournalFile(work, WRITTEN)
}

/** The journal of an update that is being taken back. @throws `CORRUPT` */
export function readUndoneJournal(work: string): UpdateJournal | null {
  return readJournalFile(work, UNDOING)
}

/** By the clock of the file system, of a journal that is being taken back: everything that comes in was made before. */
export function journalWrittenNs(work: string): bigint {
  return lstatSync(join(work, UNDOING), { bigint: true }).mtimeNs
}

function readJournalFile(work: string, name: string): UpdateJournal | null {
  let text: string
  try {
    text = readFileSync(join(work, name), 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
  const lines = text.split('\n')
  if (lines.shift() !== HEADER || lines.pop() !== '' || lines.pop() !== FOOTER) throw damaged(work)
  return { directories: lines.map((line) => parseDirectory(line, work)) }
}

function parseDirectory(line: string, work: string): DirectoryUpdate {
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (error) {
    throw damaged(work, error)
  }
  if (!isDirectoryUpdate(value)) throw damaged(work)
  return value
}

function isDirectoryUpdate(value: unknown): value is DirectoryUpdate {
  return (
    isRecord(value) &&
    isList(value['path'], isName) &&
    typeof value['inode'] === 'string' &&
    isFields(value['before']) &&
    isFields(value['after']) &&
    isList(value['entries'], isEntryUpdate) &&
    isList(value['fields'], isFieldsUpdate)
  )
}

function isEntryUpdate(value: unknown): boolean {
  return (
    isRecord(value) &&
    isName(value['name']) &&
    Number.isSafeInteger(value['number']) &&
    typeof value['comes'] === 'boolean' &&
    (value['came'] === undefined || typeof value['came'] === 'string') &&
    (value['goes'] === null || isFound(value['goes']))
  )
}

function isFieldsUpdate(value: unknown): boolean {
  return (
    isRecord(value) &&
    isName(value['name']) &&
    isFound(value['found']) &&
    isFields(value['before']) &&
    isFields(value['after'])
  )
}

function isFound(value: unknown): boolean {
  return (
    isRecord(value) &&
    typeof value['isDirectory'] === 'boolean' &&
    typeof value['inode'] === 'string' &&
    typeof value['mtimeNs'] === 'string' &&
    (value['ctimeNs'] === null || typeof value['ctimeNs'] === 'string')
  )
}

function isFields(value: unknown): boolean {
  return (
    isRecord(value) &&
    Number.isSafeInteger(value['mode']) &&
    Number.isSafeInteger(value['seconds']) &&
    Number.isSafeInteger(value['nanoseconds'])
  )
}

/** A single component: whoever planted a journal cannot lead it out of the target. */
function isName(value: unknown): boolean {
  return typeof value === 'string' && value !== '' && value !== '.' && value !== '..' && !/[/\0]/.test(value)
}

function isList(value: unknown, isItem: (item: unknown) => boolean): boolean {
  return Array.isArray(value) && value.every(isItem)
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function damaged(work: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(
    'CORRUPT',
    `The journal of an interrupted load in ${JSON.stringify(work)} is damaged. What was replaced so far is in its folder "old".`,
    { cause, details: { path: work } },
  )
}
