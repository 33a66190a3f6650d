import { createHash } from 'node:crypto'
import { existsSync, linkSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../errors.ts'
import {
  noOmissions,
  type Omission,
  type OmissionReason,
  type Snapshot,
  type SnapshotCoverage,
} from '../snapshot.ts'
import { compareBytes, fromBytePath, parentOf, toBytePath, type BytePath } from '../byte-path.ts'
import type { PrivateRepository } from './private-repository.ts'
import { replaceOwnFile } from './replace-own-file.ts'

const MAX_EXAMPLES = 100

export interface OmittedPath {
  readonly path: BytePath
  readonly reason: OmissionReason
}

/** Counts what a capture left out, and stores the whole list for {@link readOmitted} when the examples are not all. */
export function recordOmitted(
  own: PrivateRepository,
  snapshotId: string,
  all: readonly OmittedPath[],
): Pick<SnapshotCoverage, 'omitted' | 'examples'> {
  const omitted = noOmissions()
  for (const { reason } of all) omitted[reason] += 1
  const sorted = all.toSorted((a, b) => compareBytes(a.path, b.path))
  const examples = sorted
    .slice(0, MAX_EXAMPLES)
    .map(({ path, reason }): Omission => ({ path: fromBytePath(path), reason }))
  if (sorted.length > MAX_EXAMPLES) {
    const text = sorted.map(({ path }) => path).join('\0')
    const shared = listPath(own, createHash('sha256').update(text).digest('hex'))
    if (!existsSync(shared)) replaceOwnFile(own, shared, Buffer.from(text, 'latin1'))
    linkSync(shared, listPath(own, snapshotId))
  }
  return { omitted, examples }
}

/**
 * Whether a snapshot says nothing about a path, because that, or a directory above it, was left out. Something may
 * have been there, so its absence from the snapshot is no reason to delete it.
 * @throws `NOT_FOUND` when the list is gone
 */
export function readOmitted(own: PrivateRepository, snapshot: Snapshot): (path: BytePath) => boolean {
  const count = Object.values(snapshot.coverage.omitted).reduce((sum, each) => sum + each, 0)
  const examples = snapshot.coverage.examples.map(({ path }) => toBytePath(path))
  const omitted = new Set(count === examples.length ? examples : readList(own, snapshot.id))
  return (path) => {
    if (omitted.size === 0) return false
    for (let part = path; part !== ''; part = parentOf(part)) if (omitted.has(part)) return true
    return false
  }
}

function readList(own: PrivateRepository, snapshotId: string): BytePath[] {
  try {
    return readFileSync(listPath(own, snapshotId), 'latin1').split('\0')
  } catch (error) {
    throw new WorkspaceError(
      'NOT_FOUND',
      `The list of what snapshot ${snapshotId} left out is gone from the state directory, so that a rollback to it could delete too much. Take a new snapshot.`,
      { cause: error },
    )
  }
}

function listPath(own: PrivateRepository, name: string): string {
  return join(own.directory, 'omitted', name.replace(/[^0-9a-f-]/g, ''))
}
