import { randomUUID } from 'node:crypto'
import type { Snapshot } from '../snapshot.ts'
import { buildTrees } from './build-trees.ts'
import { compareBytes, fromBytePath, joinPath, parentOf, splitRecords, type BytePath } from './byte-path.ts'
import type { CaptureState } from './capture-state.ts'
import { isDirty } from './compare-with-head.ts'
import { runGit } from './git-command.ts'
import { listWorkspace, type WorkspaceListing } from './list-workspace.ts'
import { recordOmitted, type OmittedPath } from './omitted-paths.ts'
import { pauser } from './pause.ts'
import { objectSizes, privateCall, sweepTemporaries, writeObject } from './private-repository.ts'
import {
  adoptBorrowed,
  chooseCandidates,
  readContents,
  type Capture,
  type Contents,
  type GitWorkspace,
} from './read-contents.ts'
import { formatRef, unusualModes, writeSidecar } from './sidecar.ts'
import { readIndexStamp, readTrackedFiles } from './tracked-files.ts'
import { readHead } from './user-repository.ts'

export interface CaptureRequest {
  readonly label: string
  /** Trees whose paths stay in view, whatever the ignore rules say now. */
  readonly keepInView: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** Call it under the workspace's lock. @returns the snapshot, and what the file system looked like then */
export async function captureWorkspace(
  workspace: GitWorkspace,
  request: CaptureRequest,
): Promise<{ readonly snapshot: Snapshot; readonly state: CaptureState }> {
  const { signal } = request
  signal?.throwIfAborted()
  sweepTemporaries(workspace.own)
  const last = workspace.stateFile.load()
  const pause = pauser(signal)
  const indexStamp = readIndexStamp(workspace.user)
  const isIndexKnown = last !== null && indexStamp !== '' && last.indexStamp === indexStamp
  const [listing, head, known] = await Promise.all([
    listWorkspace({ ...workspace, pause, signal }, last),
    readHead(workspace.user, last?.head ?? null, signal),
    isIndexKnown ? null : readTrackedFiles(workspace.user, signal),
  ])
  const isListKnown = last !== null && isSuperset(listing.listed, last.listed)
  const tracked = known ?? (isListKnown ? null : await readTrackedFiles(workspace.user, signal))
  const capture: Capture = { ...workspace, last, listing, tracked, pause, signal }
  const trackedUnlisted = unlisted(
    tracked === null ? (last?.trackedUnlisted ?? []) : tracked.entries.keys(),
    listing,
  )
  const kept = await pathsOfTrees(capture, request.keepInView)
  const contents = await readContents(capture, await chooseCandidates(capture, [...trackedUnlisted, ...kept]))
  await adoptBorrowed(capture, contents)
  const stored = await storeState(capture, contents)
  const dirty = await isDirty(capture, { head, tree: stored.tree, indexStamp, entries: contents.entries })
  const state: CaptureState = {
    ...listing,
    ...stored,
    entries: contents.entries,
    indexStamp,
    trackedUnlisted,
    head,
    dirty,
  }
  workspace.stateFile.save(last !== null && isSameState(last, state) ? last : state)
  const id = randomUUID()
  const omitted = listOmitted(listing, contents)
  const snapshot: Snapshot = {
    id,
    backend: 'git',
    path: workspace.path,
    ref: formatRef(stored.tree, stored.sidecar),
    label: request.label,
    capturedAt: new Date().toISOString(),
    metadata: {
      entries: contents.entries.size + stored.leafDirectories.size,
      head: head.commit,
      headRef: head.ref,
      dirty: dirty.value,
      includesUntracked: true,
      tree: stored.tree,
    },
    coverage: {
      complete: omitted.length === 0 && contents.unstable.size === 0,
      ...recordOmitted(workspace.own, id, omitted),
      unstable: [...contents.unstable].toSorted(compareBytes).map(fromBytePath),
    },
  }
  return { snapshot, state }
}

/** Then what git does not list now, it did not list then. */
function isSuperset(now: ReadonlySet<BytePath>, then: ReadonlySet<BytePath>): boolean {
  if (now === then) return true
  for (const path of then) if (!now.has(path)) return false
  return true
}

function unlisted(paths: Iterable<BytePath>, listing: WorkspaceListing): BytePath[] {
  return [...paths].filter((path) => !listing.listed.has(path))
}

/** Paths that the trees hold and git does not list now. */
async function pathsOfTrees(capture: Capture, trees: readonly string[]): Promise<BytePath[]> {
  let paths: BytePath[] = []
  for (const tree of new Set(trees)) {
    if (tree === capture.last?.tree) {
      paths = paths.concat(unlisted(capture.last.entries.keys(), capture.listing))
      continue
    }
    const call = privateCall(capture.own, ['ls-tree', '-r', '-z', '--name-only', tree], {
      signal: capture.signal,
    })
    paths = paths.concat(unlisted(splitRecords(await runGit(call)), capture.listing))
  }
  return paths
}

type StoredState = Pick<CaptureState, 'tree' | 'sidecar' | 'leafDirectories' | 'knownTrees'>

async function storeState(capture: Capture, contents: Contents): Promise<StoredState> {
  const { last, own } = capture
  const isSameListing = capture.listing === last
  if (last !== null && isSameListing && isSameContent(last.entries, contents.entries)) return last
  const { root, trees } = buildTrees(own, contents.entries)
  const fresh = [...trees.keys()].filter((id) => last?.knownTrees.has(id) !== true)
  const present = fresh.length > MANY_TREES ? await objectSizes(own, fresh, { signal: capture.signal }) : null
  for (const id of fresh) {
    await capture.pause()
    if (present?.has(id) !== true) writeObject(own, 'tree', id, trees.get(id) ?? Buffer.alloc(0))
  }
  const leafDirectories = findLeafDirectories(capture.listing, contents)
  const sidecar = writeSidecar(own, { modes: unusualModes(contents.entries), directories: leafDirectories })
  return { tree: root, sidecar, leafDirectories, knownTrees: new Set(trees.keys()) }
}

/** Above this, one call of git to see which ones came with the user's packs is cheaper than writing them. */
const MANY_TREES = 64

/** Directories that hold nothing but what is ignored: git has no place for them. */
function findLeafDirectories(listing: WorkspaceListing, contents: Contents): Map<BytePath, number> {
  const occupied = new Set<BytePath>([''])
  for (const path of contents.entries.keys()) occupied.add(parentOf(path))
  for (const path of listing.nested) occupied.add(parentOf(path))
  for (const path of listing.unreadableDirectories) occupied.add(parentOf(path))
  for (const { path } of contents.omitted) occupied.add(parentOf(path))
  for (const [path, directory] of listing.directories) {
    if (path !== '') occupied.add(parentOf(path))
    if (directory.special.length > 0) occupied.add(path)
  }
  const leaves = new Map<BytePath, number>()
  for (const [path, { mode }] of listing.directories) if (!occupied.has(path)) leaves.set(path, mode & 0o7777)
  return leaves
}

function listOmitted(listing: WorkspaceListing, contents: Contents): OmittedPath[] {
  const all: OmittedPath[] = [...contents.omitted]
  for (const path of listing.ignored) if (!contents.entries.has(path)) all.push({ path, reason: 'ignored' })
  for (const path of listing.nested) all.push({ path, reason: 'nested-repository' })
  for (const path of listing.unreadableDirectories) all.push({ path, reason: 'unreadable' })
  for (const [path, { special }] of listing.directories) {
    for (const name of special) all.push({ path: joinPath(path, name), reason: 'special-file' })
  }
  return all
}

function isSameContent(left: CaptureState['entries'], right: CaptureState['entries']): boolean {
  if (left === right) return true
  if (left.size !== right.size) return false
  for (const [path, entry] of right) {
    const other = left.get(path)
    if (other !== entry && (other === undefined || other.id !== entry.id || other.mode !== entry.mode))
      return false
  }
  return true
}

/** Whether saving would only repeat what is stored. */
function isSameState(last: CaptureState, state: CaptureState): boolean {
  if (last.listed !== state.listed || last.tree !== state.tree || last.indexStamp !== state.indexStamp)
    return false
  if (last.head.commit !== state.head.commit || last.head.ref !== state.head.ref) return false
  if (last.sidecar !== state.sidecar || last.dirty?.key !== state.dirty?.key) return false
  return last.entries === state.entries
}
