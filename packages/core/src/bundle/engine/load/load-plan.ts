import { lstatSync, type BigIntStats } from 'node:fs'
import { join } from 'node:path'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { isSameFileTime } from '../../../filesystem/file-time.ts'
import { foundEntry, identityOf } from '../../../filesystem/found-entry.ts'
import type {
  DirectoryUpdate,
  EntryFields,
  EntryUpdate,
  FieldsUpdate,
  UpdateJournal,
} from '../../../filesystem/update-journal.ts'
import type { EntryFacts } from '../../format/tree-node.ts'
import { KEPT_MODE_BITS } from './stage-state.ts'

/** The changes to one directory, as they are found. */
export interface DirectoryPlan {
  readonly path: readonly ByteString[]
  readonly inode: string
  readonly before: EntryFields
  after: EntryFields
  entries: EntryUpdate[]
  fields: FieldsUpdate[]
}

/** The changes to a directory that is in use, and to those below it. */
export interface LoadPlan {
  /** Parents come before their children. */
  open(path: readonly ByteString[], before: EntryFields, inode: bigint): DirectoryPlan
  /** What comes in gets the next number and is made under it. */
  nextNumber(): number
  /** Takes back an entry that could not be made: what is there stays. */
  drop(number: number): void
  /** Takes what is known of something that comes in, made and done. What nobody knows is looked at by `journal`. */
  identify(number: number, stats: { readonly inode: bigint; readonly mtimeNs: bigint }): void
  /** @param staged where what comes in lies, all of it done @returns `null`: there is nothing to change */
  journal(staged: string): UpdateJournal | null
}

export function createLoadPlan(): LoadPlan {
  const directories: DirectoryPlan[] = []
  const dropped = new Set<number>()
  const identities = new Map<number, string>()
  let lastNumber = 0
  const identityIn = (staged: string, number: number): string =>
    identities.get(number) ?? identityOf(lstatSync(join(staged, String(number)), { bigint: true }))
  return {
    open(path, before, inode) {
      const plan = { path, inode: inode.toString(), before, after: before, entries: [], fields: [] }
      directories.push(plan)
      return plan
    },
    nextNumber: () => (lastNumber += 1),
    drop: (number) => void dropped.add(number),
    identify: (number, { inode, mtimeNs }) =>
      void identities.set(number, identityOf({ ino: inode, mtimeNs })),
    journal(staged) {
      const changed: DirectoryUpdate[] = []
      for (const directory of directories) {
        const entries = directory.entries
          .filter(({ number }) => !dropped.has(number))
          .map((entry) => (entry.comes ? { ...entry, came: identityIn(staged, entry.number) } : entry))
        const { path, inode, before, fields } = directory
        const isTouched = entries.length > 0 || fields.length > 0 || !isSameFields(before, directory.after)
        if (isTouched) changed.push({ path, inode, before, after: directory.after, entries, fields })
      }
      return changed.length === 0 ? null : { directories: changed }
    },
  }
}

export function fieldsOf(stats: BigIntStats): EntryFields {
  const seconds = Number(stats.mtimeNs / 1_000_000_000n)
  const nanoseconds = Number(stats.mtimeNs % 1_000_000_000n)
  const mode = Number(stats.mode & 0o7777n)
  return nanoseconds < 0
    ? { mode, seconds: seconds - 1, nanoseconds: nanoseconds + 1e9 }
    : { mode, seconds, nanoseconds }
}

/** The fields that an entry is to have. Special bits that are there already may stay as the version has them. */
export function wantedFields(
  entry: Pick<EntryFacts, 'mode' | 'mtimeSeconds' | 'mtimeNanoseconds'>,
  present: EntryFields,
): EntryFields {
  const mode = present.mode === entry.mode ? entry.mode : entry.mode & KEPT_MODE_BITS
  return { mode, seconds: entry.mtimeSeconds, nanoseconds: entry.mtimeNanoseconds }
}

export function isSameFields(left: EntryFields, right: EntryFields): boolean {
  return left.mode === right.mode && isSameFileTime(timeOf(left), timeOf(right))
}

function timeOf({ seconds, nanoseconds }: EntryFields): bigint {
  return BigInt(seconds) * 1_000_000_000n + BigInt(nanoseconds)
}

export { foundEntry }
