import { randomUUID } from 'node:crypto'
import type { BigIntStats } from 'node:fs'
import { childPath, closeDirectory, listDirectory, type ByteString } from './directory-handle.ts'
import { identityOf, isSameInode, lstatOrNull } from './found-entry.ts'
import type { EntryPlace } from './move-entry.ts'
import { makeAccessible, openAccessible } from './open-accessible.ts'
import { renameEntry } from './rename-entry.ts'
import { journalWrittenNs, type UpdateJournal } from './update-journal.ts'

/** What an update has brought, by what is known of it. */
export interface Ours {
  /** @param came what the journal says of this place; one of an older version says nothing, and all is taken for ours */
  isOurs(stats: BigIntStats, came: string | undefined): boolean
  /** The same of what lies in a directory that came in. */
  isOursWithin(stats: BigIntStats): boolean
}

/** @param work the work directory of an update that is being taken back */
export function knowOurs(work: string, { directories }: UpdateJournal): Ours {
  const writtenNs = journalWrittenNs(work)
  let known: ReadonlySet<string> | null = null
  const knows = (stats: BigIntStats): boolean => {
    known ??= new Set(directories.flatMap(({ entries }) => entries.flatMap(({ came }) => came ?? [])))
    return known.has(identityOf(stats))
  }
  return {
    isOurs: (stats, came) =>
      came === undefined || (stats.isDirectory() ? isSameInode(stats, came) : identityOf(stats) === came),
    // Everything was made before the journal was written; whoever changes or brings something later gives it a later change
    // time. So does moving one name of a hard-linked file to all of them.
    isOursWithin: (stats) => stats.ctimeNs <= writtenNs || (!stats.isDirectory() && knows(stats)),
  }
}

/**
 * Moves something that came in away. Where somebody else has put something into it, or changed something in it, that stays.
 * @returns the paths of what stays, from `from.directory` down
 */
export function withdraw(
  from: EntryPlace,
  stats: BigIntStats,
  to: EntryPlace,
  ours: Ours,
  came: string | undefined,
): ByteString[] {
  if (!ours.isOurs(stats, came)) return [from.name]
  if (stats.isDirectory() && came !== undefined) {
    const isAsItCame = identityOf(stats) === came
    const foreign = withdrawWithin(from, to, ours, isAsItCame)
    if (foreign.length > 0) return foreign
  }
  renameEntry(pathOf(from), freeName(to))
  return []
}

/** Moves nothing when all is ours: the directory is to be moved as a whole then. */
function withdrawWithin(from: EntryPlace, to: EntryPlace, ours: Ours, isAsItCame: boolean): ByteString[] {
  const directory = openAccessible(from.directory, from.name)
  try {
    const names = listDirectory(directory).map(({ name }) => name)
    // Somebody may have made it anew, and the file system given it the same inode.
    if (names.length === 0 && !isAsItCame) return [from.name]
    const foreign: ByteString[] = []
    const wholly: ByteString[] = []
    for (const name of names) {
      const stats = lstatOrNull(childPath(directory, name))
      if (stats === null) continue
      const below = ours.isOursWithin(stats)
        ? stats.isDirectory()
          ? withdrawWithin({ directory, name }, to, ours, true)
          : []
        : [name]
      if (below.length === 0) wholly.push(name)
      foreign.push(...below.map((path) => `${from.name}/${path}`))
    }
    if (foreign.length === 0) return []
    makeAccessible(directory)
    for (const name of wholly) renameEntry(childPath(directory, name), freeName(to))
    return foreign
  } finally {
    closeDirectory(directory)
  }
}

/** What is taken back in several steps, or once more, has the first name taken. */
function freeName(to: EntryPlace): ReturnType<typeof pathOf> {
  const path = pathOf(to)
  return lstatOrNull(path) === null ? path : childPath(to.directory, `${to.name}-${randomUUID()}`)
}

function pathOf({ directory, name }: EntryPlace): ReturnType<typeof childPath> {
  return childPath(directory, name)
}
