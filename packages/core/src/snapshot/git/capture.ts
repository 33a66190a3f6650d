import { randomUUID } from 'node:crypto'
import { WorkspaceError } from '../../errors.ts'
import type { Snapshot } from '../snapshot.ts'
import {
  compareBytes,
  fromBytePath,
  joinPath,
  pathResolver,
  splitRecords,
  type BytePath,
} from './byte-path.ts'
import type { CaptureState, FileStamp, PathSet } from './capture-state.ts'
import { isDirty } from './compare-with-head.ts'
import { tableOf, type EntryTable } from './entry-table.ts'
import { runGit } from './git-command.ts'
import { listWorkspace, lstatIfAllowed, stampOf, type WorkspaceListing } from './list-workspace.ts'
import { recordOmitted, type OmittedPath } from './omitted-paths.ts'
import { pauser, type Pause } from './pause.ts'
import { adoptObjects, privateCall, sweepTemporaries, type PrivateRepository } from './private-repository.ts'
import {
  chooseCandidates,
  findChanged,
  readContents,
  type Capture,
  type Contents,
  type GitWorkspace,
  type RecalledEntry,
} from './read-contents.ts'
import { readHead } from './read-head.ts'
import { formatRef } from './sidecar.ts'
import { storeState } from './store-state.ts'
import { readIndexStamp, readTrackedFiles } from './tracked-files.ts'

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
  const early = last === null ? startEarly(workspace, pause, signal) : null
  const [listing, head, known, stamps] = await Promise.all([
    listWorkspace({ ...workspace, pause, signal }, last),
    readHead(workspace.user, last?.head ?? null, signal),
    early?.tracked ?? (isIndexKnown ? null : readTrackedFiles(workspace.user, signal)),
    early?.stamps ?? new Map<BytePath, FileStamp>(),
  ])
  const isListKnown = last !== null && isSuperset(listing.listed, last.listed)
  const tracked = known ?? (isListKnown ? null : await readTrackedFiles(workspace.user, signal))
  const adoption = early?.adoption ?? null
  const recall = recaller(workspace, last, request)
  const capture: Capture = {
    ...workspace,
    last,
    listing,
    tracked,
    stamps,
    adoption,
    recall,
    pause,
    signal,
  }
  const trackedUnlisted =
    tracked === null && listing === last
      ? last.trackedUnlisted
      : unlisted(tracked === null ? (last?.trackedUnlisted ?? []) : tracked.entries.keys(), listing)
  const kept = await pathsInView(capture, request.keepInView)
  const candidates = await chooseCandidates(capture, [...trackedUnlisted, ...kept])
  const changed = last === null || candidates !== null ? [] : await findChanged(capture, last.entries)
  if (last !== null && listing === last && candidates === null && changed.length === 0) {
    const { tree, entries } = last
    const dirty = await isDirty(capture, { head, tree, indexStamp, entries: () => entries.map() })
    const state = { ...last, indexStamp, trackedUnlisted, head, dirty }
    return finish(workspace, request, { last, state, omitted: listOmitted(listing, noContents(entries)) })
  }
  const contents = await readContents(capture, candidates, changed)
  const stored = await storeState(capture, contents)
  const { entries } = contents
  const dirty = await isDirty(capture, { head, tree: stored.tree, indexStamp, entries: () => entries })
  const state: CaptureState = {
    ...listing,
    ...stored,
    entries: tableOf(entries),
    isAsListed: isSameNames(listing.listed(), entries),
    unread: contents.unread,
    indexStamp,
    trackedUnlisted,
    head,
    dirty,
  }
  const { unstable } = contents
  return finish(workspace, request, { last, state, omitted: listOmitted(listing, contents), unstable })
}

/** While git lists the workspace for the first time, there is enough to do that does not depend on the list. */
function startEarly(workspace: GitWorkspace, pause: Pause, signal: AbortSignal | undefined) {
  const { user, own } = workspace
  const tracked = readTrackedFiles(user, signal)
  const adoption = tracked.then(({ entries, trees }) => {
    const wanted = new Set(trees)
    for (const { id, ctimeNs } of entries.values()) if (ctimeNs !== 0n) wanted.add(id)
    return wanted.size === 0
      ? new Map<string, number>()
      : adoptObjects(own, user.objectsDirectory, wanted, signal)
  })
  const stamps = tracked.then(({ entries }) => readStamps(workspace.path, entries.keys(), pause))
  // Whoever awaits them sees it; until then a failure elsewhere must not leave this one unhandled.
  for (const promise of [tracked, adoption, stamps]) promise.catch(() => {})
  return { tracked, adoption, stamps }
}

async function readStamps(
  root: string,
  paths: Iterable<BytePath>,
  pause: Pause,
): Promise<Map<BytePath, FileStamp>> {
  const resolve = pathResolver(root)
  const stamps = new Map<BytePath, FileStamp>()
  for (const path of paths) {
    const pausing = pause()
    if (pausing !== undefined) await pausing
    const stats = lstatIfAllowed(resolve(path))
    if (stats !== null && stats !== 'denied') stamps.set(path, stampOf(stats))
  }
  return stamps
}

interface Outcome {
  readonly last: CaptureState | null
  readonly state: CaptureState
  readonly omitted: readonly OmittedPath[]
  readonly unstable?: ReadonlySet<BytePath>
}

function finish(
  workspace: GitWorkspace,
  request: CaptureRequest,
  { last, state, omitted, unstable = new Set() }: Outcome,
): { readonly snapshot: Snapshot; readonly state: CaptureState } {
  workspace.stateFile.save(last !== null && isSameState(last, state) ? last : state)
  const { head, dirty } = state
  const id = randomUUID()
  const snapshot: Snapshot = {
    id,
    backend: 'git',
    path: workspace.path,
    ref: formatRef(state.tree, state.sidecar),
    label: request.label,
    capturedAt: new Date().toISOString(),
    metadata: {
      entries: state.entries.size + state.leafDirectories.size,
      head: head.commit,
      headRef: head.ref,
      dirty: dirty?.value ?? false,
      includesUntracked: true,
      tree: state.tree,
    },
    coverage: {
      complete: omitted.length === 0 && unstable.size === 0,
      ...recordOmitted(workspace.own, id, omitted),
      unstable: [...unstable].toSorted(compareBytes).map(fromBytePath),
    },
  }
  return { snapshot, state }
}

/** Then what git does not list now, it did not list then. */
function isSuperset(now: () => PathSet, then: () => PathSet): boolean {
  if (now === then) return true
  const names = now()
  for (const path of then().keys()) if (!names.has(path)) return false
  return true
}

function isSameNames(listed: PathSet, entries: ReadonlyMap<BytePath, unknown>): boolean {
  if (listed.size !== entries.size) return false
  for (const path of listed.keys()) if (!entries.has(path)) return false
  return true
}

function unlisted(paths: Iterable<BytePath>, listing: WorkspaceListing): BytePath[] {
  const listed = listing.listed()
  return [...paths].filter((path) => !listed.has(path))
}

/** Paths that the trees hold, or that were captured where nobody may look now, and that git does not list. */
async function pathsInView(capture: Capture, trees: readonly string[]): Promise<Set<BytePath>> {
  const { last, listing, own, signal } = capture
  const paths = new Set<BytePath>()
  for (const directory of listing.unreadableDirectories) {
    const below = `${directory}/`
    for (const path of last?.entries.paths() ?? []) if (path.startsWith(below)) paths.add(path)
  }
  const isUnchanged = last !== null && listing === last && last.isAsListed
  const ofLast =
    last === null || isUnchanged || trees.length === 0 ? [] : unlisted(last.entries.paths(), listing)
  for (const tree of new Set(trees)) {
    const { all, added, removed } = await namesOf(own, last?.tree ?? null, tree, signal)
    for (const path of unlisted(all ?? added, listing)) paths.add(path)
    if (all === null) for (const path of ofLast) if (!removed.has(path)) paths.add(path)
  }
  return paths
}

interface TreeNames {
  /** `null` when they are those of the last capture, without the removed and with the added ones. */
  readonly all: readonly BytePath[] | null
  readonly added: readonly BytePath[]
  readonly removed: ReadonlySet<BytePath>
}

async function namesOf(
  own: PrivateRepository,
  last: string | null,
  tree: string,
  signal: AbortSignal | undefined,
): Promise<TreeNames> {
  const added: BytePath[] = []
  const removed = new Set<BytePath>()
  if (last === tree) return { all: null, added, removed }
  if (last !== null) {
    try {
      const shape = ['-r', '-z', '--name-status', '--no-renames']
      const output = await runGit(privateCall(own, ['diff-tree', ...shape, last, tree], { signal }))
      const records = splitRecords(output)
      for (let at = 0; at + 1 < records.length; at += 2) {
        const path = records[at + 1] ?? ''
        if (records[at] === 'A') added.push(path)
        if (records[at] === 'D') removed.add(path)
      }
      return { all: null, added, removed }
    } catch (error) {
      if (!WorkspaceError.is(error, 'UNAVAILABLE')) throw error
    }
  }
  const output = await runGit(privateCall(own, ['ls-tree', '-r', '-z', '--name-only', tree], { signal }))
  return { all: splitRecords(output), added, removed }
}

/** For files that cannot be read now: what the last capture, or else the trees that are to stay in view, have. */
function recaller(
  { own }: GitWorkspace,
  last: CaptureState | null,
  { keepInView, signal }: CaptureRequest,
): Capture['recall'] {
  let stored: Promise<Map<BytePath, RecalledEntry>> | null = null
  return async (path) =>
    last?.entries.map().get(path) ?? (await (stored ??= readTrees(own, keepInView, signal))).get(path)
}

async function readTrees(
  own: PrivateRepository,
  trees: readonly string[],
  signal: AbortSignal | undefined,
): Promise<Map<BytePath, RecalledEntry>> {
  const found = new Map<BytePath, RecalledEntry>()
  for (const tree of trees) {
    const output = await runGit(privateCall(own, ['ls-tree', '-r', '-z', tree], { signal }))
    for (const record of splitRecords(output)) {
      const end = record.indexOf('\t')
      const [mode = '', , id = ''] = record.slice(0, end).split(' ')
      const path = record.slice(end + 1)
      if (!found.has(path)) found.set(path, { id, mode: Number.parseInt(mode, 8) })
    }
  }
  return found
}

type Looked = Pick<Contents, 'omitted'> & { readonly entries: Pick<ReadonlySet<BytePath>, 'has'> }

function noContents(entries: EntryTable): Looked {
  return { omitted: [], entries: { has: (path) => entries.map().has(path) } }
}

function listOmitted(listing: WorkspaceListing, contents: Looked): OmittedPath[] {
  const all: OmittedPath[] = [...contents.omitted]
  for (const path of listing.ignored) if (!contents.entries.has(path)) all.push({ path, reason: 'ignored' })
  for (const path of listing.nested) all.push({ path, reason: 'nested-repository' })
  for (const path of listing.unreadableDirectories) all.push({ path, reason: 'unreadable' })
  for (const [path, { special }] of listing.directories) {
    for (const name of special) all.push({ path: joinPath(path, name), reason: 'special-file' })
  }
  return all
}

/** Whether saving would only repeat what is stored. */
function isSameState(last: CaptureState, state: CaptureState): boolean {
  if (last.listed !== state.listed || last.tree !== state.tree || last.indexStamp !== state.indexStamp)
    return false
  if (last.head.commit !== state.head.commit || last.head.ref !== state.head.ref) return false
  if (last.sidecar !== state.sidecar || last.dirty?.key !== state.dirty?.key) return false
  return last.entries === state.entries
}
