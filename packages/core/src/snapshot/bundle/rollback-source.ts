import crypto, { createHash } from 'node:crypto'
import { closeSync, constants, openSync, readSync } from 'node:fs'
import { readLinkBytes } from '../../filesystem/native-bytes.ts'
import { damageIn } from '../../bundle/engine/repository/damage.ts'
import { factsOf as statFactsOf } from '../../bundle/engine/save/entry-facts.ts'
import type { TreeEntry } from '../../bundle/format/tree-node.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { pathText } from '../../filesystem/path-text.ts'
import { toBytePath } from '../byte-path.ts'
import type {
  Delta,
  FoundFile,
  LeafEntry,
  PresentState,
  RollbackSource,
  RollbackState,
  StateEntry,
} from '../rollback/rollback-source.ts'
import { captureDirectory } from './capture.ts'
import { compareStates } from './compare-states.ts'
import type { Leaf } from './describe-changes.ts'
import { openState, stateCacheOf, type StoredState } from './stored-state.ts'
import { factsOf, findSnapshot, type BundleWorkspace, type SnapshotFacts } from './workspace-versions.ts'

interface BundleState extends RollbackState {
  readonly stored: StoredState
  readonly facts: SnapshotFacts
}

/** A file that changed this shortly before the capture is read again: some file systems keep times in such steps. */
const TIME_STEP_MS = 2_000
const MAX_READ_BYTES = 1024 * 1024
const READ_FLAGS = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK

/** What a rollback needs, from versions in the private store. The rules of the target decide what counts. */
export function bundleRollbackSource(workspace: BundleWorkspace): RollbackSource {
  const cache = stateCacheOf(workspace)
  const toState = (record: VersionRecord): BundleState => {
    const facts = factsOf(record)
    return {
      ref: facts.ref,
      stored: openState(workspace, record, cache, facts),
      facts,
      isLeftOut: leftOut(facts),
      isUnread: () => false,
    }
  }
  return {
    path: workspace.path,
    journalDirectory: workspace.cacheDirectory,
    open: async (snapshot, signal) => toState(await findSnapshot(workspace, snapshot, signal)),
    async capture({ label, goal, written, modes, onProgress, signal }) {
      const { rules } = (goal as BundleState).facts
      const captured = await captureDirectory(workspace, {
        label,
        rules,
        written,
        modes,
        onProgress,
        signal,
      })
      const state = toState(captured.record)
      return {
        ...state,
        snapshot: captured.snapshot,
        unreadable: unreadableOf(state.facts),
        isAsCaptured: (found, entry) =>
          // What the owner has been given access to has other permissions on the disk for now.
          isAsCaptured(state.stored, captured.startedAt, found, entry, modes?.has(found.path) === true),
      } satisfies PresentState & BundleState
    },
    async compare(from, to, signal) {
      const deltas = await compareStates((from as BundleState).stored, (to as BundleState).stored, signal)
      const below = deltas.map(({ path, before, after, hasSameContent }): Delta => ({
        path,
        before: toEntry(before),
        after: toEntry(after),
        hasSameContent,
      }))
      return [...compareRoots(from as BundleState, to as BundleState), ...below]
    },
    async read(state, leaves, receive, signal) {
      for (const [index, { path, entry }] of leaves.entries()) {
        signal?.throwIfAborted()
        await receive(index, naming(path, (state as BundleState).stored.read(path, leafIn(entry))))
      }
    },
    sizesOf: (leaves) => Promise.resolve(leaves.map(({ entry }) => entry.size ?? 0)),
    holds: async (state, { path, entry }, content) =>
      (await (state as BundleState).stored.hashOf(path, leafIn(entry))) === crypto.hash('sha256', content),
  }
}

/** What is damaged in a store says nothing of the files that need it. */
async function* naming(path: ByteString, content: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
  try {
    yield* content
  } catch (error) {
    throw damageIn(null, error, [pathText(path)])
  }
}

/** The directory itself is an entry of no tree. */
function compareRoots(from: BundleState, to: BundleState): Delta[] {
  const root = ({ stored }: BundleState): StateEntry => ({
    type: 'directory',
    mode: stored.rootMode,
    isEmpty: false,
  })
  const [before, after] = [root(from), root(to)]
  return before.mode === after.mode ? [] : [{ path: '', before, after, hasSameContent: true }]
}

function toEntry(entry: TreeEntry | null): StateEntry | null {
  if (entry === null) return null
  if (entry.type === 'directory')
    return { type: 'directory', mode: entry.mode, isEmpty: entry.entriesBelow === 0 }
  const isLinked = entry.type === 'file' && entry.hardLinkGroup !== 0n
  return {
    type: entry.type,
    mode: entry.type === 'symlink' ? 0o777 : entry.mode,
    size: entry.type === 'symlink' ? entry.target.length : entry.size,
    content: entry,
    // A double keeps a microsecond of any date of this age.
    modifiedAt: entry.mtimeSeconds + entry.mtimeNanoseconds / 1e9,
    hardLinkGroup: isLinked ? `${entry.hardLinkGroup}` : null,
  }
}

function leafIn(entry: LeafEntry): Leaf {
  return entry.content as Leaf
}

function unreadableOf({ omitted }: SnapshotFacts): ByteString[] {
  return omitted.filter(({ reason }) => reason === 'unreadable').map(({ path }) => toBytePath(path))
}

/** What a snapshot did not capture, and everything below it. */
function leftOut({ omitted, unstable }: SnapshotFacts): (path: ByteString) => boolean {
  const places = new Set([...omitted.map(({ path }) => path), ...unstable].map(toBytePath))
  return (path) => {
    for (let end = path.indexOf('/'); end !== -1; end = path.indexOf('/', end + 1))
      if (places.has(path.slice(0, end))) return true
    return places.has(path)
  }
}

async function isAsCaptured(
  stored: StoredState,
  startedAt: number,
  { path, file, stats }: FoundFile,
  { content }: LeafEntry,
  hasOtherMode: boolean,
): Promise<boolean> {
  const entry = content as Leaf
  if (entry.type === 'symlink') return readLinkBytes(file).toString('latin1') === entry.target
  const { mode, mtimeSeconds, mtimeNanoseconds } = statFactsOf('', stats)
  const isAlike =
    Number(stats.size) === entry.size &&
    (mode === entry.mode || hasOtherMode) &&
    mtimeSeconds === entry.mtimeSeconds &&
    mtimeNanoseconds === entry.mtimeNanoseconds
  if (!isAlike) return false
  if (Number(stats.ctimeMs) < startedAt - TIME_STEP_MS) return true
  return hashFile(file, Number(stats.size)) === (await stored.hashOf(path, entry))
}

/** `null` when it cannot be read. */
function hashFile(file: string | Buffer, size: number): string | null {
  const digest = createHash('sha256')
  try {
    const fd = openSync(file, READ_FLAGS)
    try {
      const buffer = Buffer.allocUnsafe(Math.min(size + 1, MAX_READ_BYTES))
      for (let count = readSync(fd, buffer); count > 0; count = readSync(fd, buffer))
        digest.update(buffer.subarray(0, count))
    } finally {
      closeSync(fd)
    }
  } catch {
    return null
  }
  return digest.digest('hex')
}
