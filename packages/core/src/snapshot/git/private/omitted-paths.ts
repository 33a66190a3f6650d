import { createHash } from 'node:crypto'
import { existsSync, linkSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import {
  noOmissions,
  type Omission,
  type OmissionReason,
  type Snapshot,
  type SnapshotCoverage,
} from '../../snapshot.ts'
import { compareBytes, fromBytePath, parentOf, toBytePath, type BytePath } from '../../byte-path.ts'
import type { PrivateRepository } from './private-repository.ts'
import { replaceOwnFile } from './replace-own-file.ts'

const MAX_EXAMPLES = 100

export interface OmittedPath {
  readonly path: BytePath
  readonly reason: OmissionReason
}

/** What a snapshot holds nothing of, for two opposite reasons. */
export interface Unheld {
  /**
   * Whether a snapshot says nothing about a path, because that, or a directory above it, was left out. Something may
   * have been there, so its absence from the snapshot is no reason to delete it.
   */
  isLeftOut(path: BytePath): boolean
  /** What was looked for, whatever the ignore rules said, and was not there. */
  readonly absent: ReadonlySet<BytePath>
}

/** Counts what a capture left out, and stores for {@link readUnheld} what the examples do not tell. */
export function recordUnheld(
  own: PrivateRepository,
  snapshotId: string,
  all: readonly OmittedPath[],
  absent: readonly BytePath[],
): Pick<SnapshotCoverage, 'omitted' | 'examples'> {
  const omitted = noOmissions()
  for (const { reason } of all) omitted[reason] += 1
  const sorted = all.toSorted((a, b) => compareBytes(a.path, b.path))
  const examples = sorted
    .slice(0, MAX_EXAMPLES)
    .map(({ path, reason }): Omission => ({ path: fromBytePath(path), reason }))
  if (sorted.length > MAX_EXAMPLES || absent.length > 0) {
    const lists = [sorted.map(({ path }) => path), absent.toSorted(compareBytes)]
    const text = lists.map((list) => list.join('\0')).join('\0\0')
    const shared = listPath(own, createHash('sha256').update(text).digest('hex'))
    if (!existsSync(shared)) replaceOwnFile(own, shared, Buffer.from(text, 'latin1'))
    linkSync(shared, listPath(own, snapshotId))
  }
  return { omitted, examples }
}

/** @throws `NOT_FOUND` when the list is gone */
export function readUnheld(own: PrivateRepository, { id, coverage }: Snapshot): Unheld {
  const count = Object.values(coverage.omitted).reduce((sum, each) => sum + each, 0)
  const examples = coverage.examples.map(({ path }) => toBytePath(path))
  const stored = readLists(own, id)
  if (stored === null && count !== examples.length) throw listGone(id)
  const omitted = new Set(count === examples.length ? examples : stored?.omitted)
  const absent = new Set(stored?.absent)
  return {
    absent,
    isLeftOut(path) {
      if (omitted.size === 0 || absent.has(path)) return false
      for (let part = path; part !== ''; part = parentOf(part)) if (omitted.has(part)) return true
      return false
    },
  }
}

/** @returns `null` where nothing is stored for a snapshot */
function readLists(
  own: PrivateRepository,
  snapshotId: string,
): Readonly<Record<'omitted' | 'absent', readonly BytePath[]>> | null {
  try {
    const text = readFileSync(listPath(own, snapshotId), 'latin1')
    const end = text.indexOf('\0\0')
    const split = (list: string) => (list === '' ? [] : list.split('\0'))
    return { omitted: split(text.slice(0, end)), absent: split(text.slice(end + 2)) }
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return null
    throw error
  }
}

function listGone(snapshotId: string): WorkspaceError {
  return new WorkspaceError(
    'NOT_FOUND',
    `The list of what snapshot ${snapshotId} left out is gone from the state directory, so that a rollback to it could delete too much. Take a new snapshot.`,
  )
}

function listPath(own: PrivateRepository, name: string): string {
  return join(own.directory, 'omitted', name.replace(/[^0-9a-f-]/g, ''))
}
