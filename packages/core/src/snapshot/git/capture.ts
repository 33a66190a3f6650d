import { randomUUID } from 'node:crypto'
import type { Omission, OmissionReason, Snapshot } from '../snapshot.ts'
import { buildTrees } from './build-trees.ts'
import {
  compareBytes,
  fromBytePath,
  parentOf,
  pathResolver,
  splitRecords,
  type BytePath,
} from './byte-path.ts'
import { isSameStamp, type CapturedEntry, type CaptureState, type CaptureStateFile } from './capture-state.ts'
import { isDirty } from './compare-with-head.ts'
import { runGit } from './git-command.ts'
import {
  listWorkspace,
  lstatIfAllowed,
  lstatOrNull,
  stampOf,
  type WorkspaceListing,
} from './list-workspace.ts'
import { pauser, type Pause } from './pause.ts'
import {
  adoptObjects,
  objectSizes,
  privateCall,
  sweepTemporaries,
  writeObject,
  type PrivateRepository,
} from './private-repository.ts'
import { readEntry } from './read-entry.ts'
import { formatRef, unusualModes, writeSidecar } from './sidecar.ts'
import { mayConvertContent, readIndexStamp, readTrackedFiles, type TrackedFiles } from './tracked-files.ts'
import { readHead, type UserRepository } from './user-repository.ts'

export interface GitWorkspace {
  /** Real path. */
  readonly path: string
  readonly user: UserRepository
  readonly own: PrivateRepository
  readonly stateFile: CaptureStateFile
}

export interface CaptureRequest {
  readonly label: string
  /** Trees whose paths stay in view, whatever the ignore rules say now. */
  readonly keepInView: readonly string[]
  readonly signal?: AbortSignal | undefined
}

/** One capture in progress. */
interface Capture extends GitWorkspace {
  readonly last: CaptureState | null
  readonly listing: WorkspaceListing
  readonly tracked: TrackedFiles | null
  readonly pause: Pause
  readonly signal?: AbortSignal | undefined
}

interface Contents {
  readonly entries: Map<BytePath, CapturedEntry>
  readonly omitted: { readonly path: BytePath; readonly reason: OmissionReason }[]
  readonly unstable: Set<BytePath>
  /** Entries whose blobs are, so far, only in the user's repository. */
  readonly borrowed: Set<BytePath>
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
    readHead(workspace.user, signal),
    isIndexKnown ? null : readTrackedFiles(workspace.user, signal),
  ])
  const tracked = known ?? (listing === last ? null : await readTrackedFiles(workspace.user, signal))
  const capture: Capture = { ...workspace, last, listing, tracked, pause, signal }
  const trackedUnlisted =
    tracked === null ? (last?.trackedUnlisted ?? []) : unlisted(tracked.entries.keys(), listing)
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
    dirty,
  }
  workspace.stateFile.save(last !== null && isSameState(last, state) ? last : state)
  const snapshot: Snapshot = {
    id: randomUUID(),
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
    coverage: describeCoverage(listing, contents),
  }
  return { snapshot, state }
}

function unlisted(paths: Iterable<BytePath>, listing: WorkspaceListing): BytePath[] {
  return [...paths].filter((path) => !listing.listed.has(path))
}

/** Paths that the trees hold and git does not list now. */
async function pathsOfTrees(capture: Capture, trees: readonly string[]): Promise<BytePath[]> {
  const paths: BytePath[] = []
  for (const tree of new Set(trees)) {
    if (tree === capture.last?.tree) {
      paths.push(...unlisted(capture.last.entries.keys(), capture.listing))
      continue
    }
    const call = privateCall(capture.own, ['ls-tree', '-r', '-z', '--name-only', tree], {
      signal: capture.signal,
    })
    paths.push(...unlisted(splitRecords(await runGit(call)), capture.listing))
  }
  return paths
}

/** All paths to look at, sorted. Unlisted ones count only where no link leads to another place. */
async function chooseCandidates(capture: Capture, extra: readonly BytePath[]): Promise<Iterable<BytePath>> {
  const { last, listing } = capture
  const resolve = pathResolver(capture.path)
  const real = new Map<BytePath, boolean>()
  const isRealDirectory = (path: BytePath): boolean => {
    if (listing.directories.has(path)) return true
    let answer = real.get(path)
    if (answer === undefined) {
      const stats = isRealDirectory(parentOf(path)) ? lstatIfAllowed(resolve(path)) : null
      answer = stats !== null && stats !== 'denied' && stats.isDirectory()
      real.set(path, answer)
    }
    return answer
  }
  const candidates = new Set(listing.listed)
  for (const path of extra) {
    await capture.pause()
    if (isRealDirectory(parentOf(path))) candidates.add(path)
  }
  const isAsBefore =
    last !== null &&
    candidates.size === last.entries.size &&
    [...candidates].every((path) => last.entries.has(path))
  return isAsBefore ? last.entries.keys() : [...candidates].toSorted(compareBytes)
}

async function readContents(capture: Capture, candidates: Iterable<BytePath>): Promise<Contents> {
  const contents: Contents = { entries: new Map(), omitted: [], unstable: new Set(), borrowed: new Set() }
  const resolve = pathResolver(capture.path)
  const canSeed = createSeedRule(capture)
  const read: BytePath[] = []
  for (const path of candidates) {
    await capture.pause()
    const stats = lstatIfAllowed(resolve(path))
    if (stats === 'denied') contents.omitted.push({ path, reason: 'unreadable' })
    if (stats === null || stats === 'denied') continue
    const stamp = stampOf(stats)
    const before = capture.last?.entries.get(path)
    if (before !== undefined && before.settled && isSameStamp(before, stamp)) {
      contents.entries.set(path, before)
      continue
    }
    const inIndex = capture.tracked?.entries.get(path)
    if (inIndex !== undefined && capture.tracked?.isUntouched(inIndex, stamp) === true && canSeed()) {
      contents.entries.set(path, { ...stamp, id: inIndex.id, settled: true })
      contents.borrowed.add(path)
      continue
    }
    await readInto(capture, contents, path)
    read.push(path)
  }
  for (const path of read) {
    await capture.pause()
    const entry = contents.entries.get(path)
    const stats = lstatOrNull(resolve(path))
    if (entry !== undefined && (stats === null || !isSameStamp(entry, stampOf(stats)))) {
      await readInto(capture, contents, path)
      contents.unstable.add(path)
    }
  }
  return contents
}

async function readInto(capture: Capture, contents: Contents, path: BytePath): Promise<void> {
  const known = new Set([capture.last?.entries.get(path)?.id])
  const tracked = capture.tracked?.entries.get(path)?.id
  const reading = await readEntry(capture, path, (id) => known.has(id) || id === tracked)
  if (reading.kind === 'read') {
    contents.entries.set(path, reading.entry)
    if (!reading.isStable) contents.unstable.add(path)
    if (reading.entry.id === tracked && !known.has(tracked)) contents.borrowed.add(path)
    return
  }
  contents.entries.delete(path)
  if (reading.kind === 'unreadable' || reading.kind === 'special-file')
    contents.omitted.push({ path, reason: reading.kind })
}

/** Whether the index's word for an untouched file can be taken; found out when it is first asked. */
function createSeedRule(capture: Capture): () => boolean {
  let answer: boolean | null = null
  return () => {
    if (answer === null) {
      const isAttributeFile = (path: BytePath) =>
        path === '.gitattributes' || path.endsWith('/.gitattributes')
      const files = new Set(
        [...capture.listing.listed, ...(capture.tracked?.entries.keys() ?? [])].filter(isAttributeFile),
      )
      const resolve = pathResolver(capture.path)
      // Where the file is gone, git goes by the one in the index.
      const isAllThere = [...files].every((path) => lstatOrNull(resolve(path))?.isFile() === true)
      answer = isAllThere && !mayConvertContent(capture.user, capture.path, files)
    }
    return answer
  }
}

/** Makes the snapshot independent of the user's objects; what cannot be had, or has another size, is read from disk. */
async function adoptBorrowed(capture: Capture, contents: Contents): Promise<void> {
  if (contents.borrowed.size === 0) return
  const wanted = new Set<string>()
  for (const path of contents.borrowed) wanted.add(contents.entries.get(path)?.id ?? '')
  const sizes = await adoptObjects(capture.own, capture.user.objectsDirectory, wanted, capture.signal)
  const withoutIndex: Capture = { ...capture, last: null, tracked: null }
  for (const path of contents.borrowed) {
    await capture.pause()
    const entry = contents.entries.get(path)
    if (entry !== undefined && sizes.get(entry.id) !== entry.size)
      await readInto(withoutIndex, contents, path)
  }
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

function describeCoverage(listing: WorkspaceListing, contents: Contents): Snapshot['coverage'] {
  const all: { readonly path: BytePath; readonly reason: OmissionReason }[] = [...contents.omitted]
  for (const path of listing.ignored) if (!contents.entries.has(path)) all.push({ path, reason: 'ignored' })
  for (const path of listing.nested) all.push({ path, reason: 'nested-repository' })
  for (const path of listing.unreadableDirectories) all.push({ path, reason: 'unreadable' })
  for (const [path, { special }] of listing.directories) {
    for (const name of special)
      all.push({ path: path === '' ? name : `${path}/${name}`, reason: 'special-file' })
  }
  const omitted = { ignored: 0, 'nested-repository': 0, 'special-file': 0, unreadable: 0, 'too-large': 0 }
  for (const { reason } of all) omitted[reason] += 1
  const examples = all.toSorted((a, b) => compareBytes(a.path, b.path)).slice(0, 100)
  return {
    complete: all.length === 0 && contents.unstable.size === 0,
    omitted,
    examples: examples.map(({ path, reason }): Omission => ({ path: fromBytePath(path), reason })),
    unstable: [...contents.unstable].toSorted(compareBytes).map(fromBytePath),
  }
}

function isSameContent(left: CaptureState['entries'], right: CaptureState['entries']): boolean {
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
  if (last.sidecar !== state.sidecar || last.dirty?.key !== state.dirty?.key) return false
  if (last.entries.size !== state.entries.size) return false
  for (const [path, entry] of state.entries) if (last.entries.get(path) !== entry) return false
  return true
}
