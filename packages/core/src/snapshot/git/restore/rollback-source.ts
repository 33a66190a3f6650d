import { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { readLinkBytes } from '../../../filesystem/native-bytes.ts'
import { WorkspaceError } from '../../../errors.ts'
import type {
  FoundFile,
  PlacedLeaf,
  PresentState,
  RollbackSource,
  RollbackState,
} from '../../rollback/rollback-source.ts'
import type { BytePath } from '../../byte-path.ts'
import type { Snapshot } from '../../snapshot.ts'
import { captureWorkspace } from '../capture/capture.ts'
import { compareEntries } from '../capture/compare-entries.ts'
import { assertLogged, assertPresent, type StoredState } from '../capture/assert-present.ts'
import { stateOf } from '../capture/compare-states.ts'
import { explainLoss } from '../private/explain-loss.ts'
import { isSameStamp, stampOf, type CapturedEntry } from '../table/file-stamp.ts'
import { readUnheld } from '../private/omitted-paths.ts'
import { objectSizes } from '../private/object-sizes.ts'
import { loosePath, objectId, type PrivateRepository } from '../private/private-repository.ts'
import { readBlobs } from '../private/read-blobs.ts'
import { ownObjectReader, type ObjectReader } from '../private/read-object.ts'
import type { GitWorkspace } from '../capture/read-contents.ts'
import { rollbackRepository } from './rollback-repository.ts'
import { readSidecar } from '../private/sidecar.ts'

interface GitState extends RollbackState {
  readonly stored: StoredState
  /** What the snapshot says was not there. */
  absent(): ReadonlySet<BytePath>
}

const repositoryInside = {
  directory: '.git',
  files: ['HEAD', 'config', 'index', 'info/exclude', 'objects', 'refs'].map((name) => `.git/${name}`),
}
const MAX_READ_BYTES = 1024 * 1024
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** What one rollback needs, from the private repository; under the workspace's lock, so that nothing goes meanwhile. */
export function gitRollbackSource(workspace: GitWorkspace): RollbackSource {
  const { own, path, user } = workspace
  const held = new Set<string>()
  const readOwn = ownObjectReader(own)
  const read: ObjectReader = (id) => {
    const object = readOwn(id)
    if (object !== null) held.add(id)
    return object
  }
  const toState = (snapshot: Snapshot): GitState => {
    const stored = stateOf(snapshot, path)
    const { unread } = readSidecar(own, stored.sidecar)
    const unheld = lazily(() => readUnheld(own, snapshot))
    return {
      ref: snapshot.ref,
      stored,
      absent: () => unheld().absent,
      isLeftOut: (name) => unheld().isLeftOut(name),
      isUnread: (name) => unread.has(name),
    }
  }
  return {
    path,
    alsoRead: user.gitDirectory === join(path, '.git') ? repositoryInside : undefined,
    journalDirectory: own.directory,
    repository: rollbackRepository(workspace),
    async open(snapshot) {
      const stored = stateOf(snapshot, path)
      assertLogged(own, [stored])
      // Whether it can be read shows when it is compared.
      if (!hasLooseObject(own, stored.tree)) await assertPresent(own, [stored])
      return toState(snapshot)
    },
    async capture({ inView, ...request }) {
      const states = inView.map((state) => state as GitState)
      const keepInView = states.map(({ stored }) => stored)
      const lookFor = states.flatMap((state) => [...state.absent()])
      const call = { ...request, keepInView, lookFor, held }
      const { snapshot, state, unreadable } = await captureWorkspace(workspace, call)
      const captured = toState(snapshot)
      return {
        ...captured,
        snapshot,
        unreadable,
        isAsCaptured: (found, _entry, isContentAtStake) =>
          // What could not be read is in no snapshot as it is now.
          !(isContentAtStake && captured.isUnread(found.path)) &&
          isAsCaptured(own, found, state.entries.get(found.path), isContentAtStake),
      } satisfies PresentState & GitState
    },
    compare: (from, to, signal) =>
      compareEntries(own, read, (from as GitState).stored, (to as GitState).stored, signal),
    async read(_state, leaves, receive, signal) {
      let reached = 0
      try {
        await readBlobs(
          own,
          read,
          leaves.map(({ entry }) => entry.content as string),
          async (index, _size, content) => {
            reached = index
            await receive(index, content)
            reached = index + 1
          },
          signal,
        )
      } catch (error) {
        throw await explainLoss(own, leaves[reached]?.path ?? null, error)
      }
    },
    sizesOf: (leaves, signal) => sizesOf(own, leaves, signal),
    holds: (_state, { entry }, content) => entry.content === objectId(own, 'blob', content),
  }
}

async function sizesOf(
  own: PrivateRepository,
  leaves: readonly PlacedLeaf[],
  signal: AbortSignal | undefined,
): Promise<number[]> {
  const ids = leaves.map(({ entry }) => entry.content as string)
  const sizes = await objectSizes(own, new Set(ids), { signal })
  const lost = leaves.find((_, at) => !sizes.has(ids[at] ?? ''))
  if (lost === undefined) return ids.map((id) => sizes.get(id) ?? 0)
  const missing = new WorkspaceError(
    'UNAVAILABLE',
    `The private repository does not hold ${String(lost.entry.content)}.`,
  )
  throw await explainLoss(own, lost.path, missing)
}

/** Without asking git, which takes a process. An empty file is one that a power failure left. */
function hasLooseObject(own: PrivateRepository, id: string): boolean {
  return (statSync(loosePath(own, id), { throwIfNoEntry: false })?.size ?? 0) > 0
}

/** By its stamp; by its content where that may have changed after it was read without moving the stamp. */
function isAsCaptured(
  own: PrivateRepository,
  { file, stats }: FoundFile,
  entry: CapturedEntry | undefined,
  isContentAtStake: boolean,
): boolean {
  const stamp = stampOf(stats)
  if (entry === undefined || !isSameStamp(entry, stamp)) return false
  if (entry.settled || !isContentAtStake) return true
  try {
    return hashFile(own, file, stats.isSymbolicLink(), stamp.size) === entry.id
  } catch {
    return false
  }
}

function hashFile(own: PrivateRepository, file: string | Buffer, isLink: boolean, size: number): string {
  if (isLink) return objectId(own, 'blob', readLinkBytes(file))
  const digest = createHash(own.format).update(`blob ${size}\0`)
  const fd = openSync(file, READ_FLAGS)
  try {
    const buffer = Buffer.allocUnsafe(Math.min(size + 1, MAX_READ_BYTES))
    for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
      digest.update(buffer.subarray(0, count))
  } finally {
    closeSync(fd)
  }
  return digest.digest('hex')
}

function lazily<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}
