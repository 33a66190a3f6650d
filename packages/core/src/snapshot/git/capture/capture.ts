import { onward, type SnapshotProgressListener } from '../../snapshot-progress.ts'
import { nativePath, type BytePath } from '../../byte-path.ts'
import type { CaptureState } from './capture-state.ts'
import { isDirty } from './compare-with-head.ts'
import type { StoredState } from './assert-present.ts'
import { allOmitted, findAbsent, listOmitted } from './find-unheld.ts'
import { findPrecious } from './find-precious.ts'
import { finishCapture, type Captured } from './finish-capture.ts'
import { directoriesInView, hasSameKeptDirectories, pathsInView, recaller, unlisted } from './keep-in-view.ts'
import { listWorkspace, type WorkspaceListing } from './list-workspace.ts'
import { nestedRepositories, type NestedRepository } from '../user/nested-repository.ts'
import { pauser, type Pause } from '../table/pause.ts'
import { sweepTemporaries } from '../private/private-repository.ts'
import {
  chooseCandidates,
  findChanged,
  limitsKey,
  readContents,
  type Capture,
  type Contents,
  type GitWorkspace,
} from './read-contents.ts'
import { spelledOnce } from './other-spellings.ts'
import { readHead } from '../user/read-head.ts'
import { recordRepositoryState } from '../user/repository-state.ts'
import type { PathSet } from '../table/sorted-paths.ts'
import { readSnapshotLog } from '../private/snapshot-log.ts'
import { startFirst, type FirstCapture } from './start-first.ts'
import { startLook } from '../walk/start-look.ts'
import { startWalk } from '../walk/start-walk.ts'
import { storeState } from './store-state.ts'
import { haveSameModesUnlisted } from './unlisted-directories.ts'
import { addNestedFiles, readIndexStamp, readTrackedFiles } from '../user/tracked-files.ts'
import type { Walk } from '../walk/walk-workspace.ts'

export interface CaptureRequest {
  readonly label: string
  /** Captured states whose paths stay in view, whatever the ignore rules say now. */
  readonly keepInView: readonly StoredState[]
  /** Other paths that count if they are there. @default none */
  readonly lookFor?: readonly BytePath[] | undefined
  /** Objects that the private repository has, as somebody has just seen who read them whole. @default none */
  readonly held?: ReadonlySet<string> | undefined
  /** Permissions that count in the place of those on the disk. @default none */
  readonly modes?: ReadonlyMap<BytePath, number> | undefined
  /** Files that no limit leaves out. @default none */
  readonly written?: readonly BytePath[] | undefined
  /** Whether another capture follows at once, which writes down what this one has seen. @default false */
  readonly isPassing?: boolean | undefined
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

/** Call it under the workspace's lock. @returns the snapshot, and what the file system looked like then */
export async function captureWorkspace(workspace: GitWorkspace, request: CaptureRequest): Promise<Captured> {
  request.signal?.throwIfAborted()
  sweepTemporaries(workspace.own)
  const last = workspace.stateFile.load()
  const onProgress = onward(request.onProgress)
  const pause = pauser(request.signal, (filesDone) =>
    onProgress?.({ phase: 'look', filesDone, filesExpected: null, bytesDone: 0 }),
  )
  // Taken before the index is read, so that a change meanwhile shows the next time.
  const indexStamp = readIndexStamp(workspace.user.indexFile)
  const early = startEarly(workspace, last, request.signal)
  try {
    return await captureFrom(workspace, { ...request, onProgress }, { last, indexStamp, early, pause })
  } catch (error) {
    // Nothing may still be at work when the lock is released, and a full disk needs room for that.
    await Promise.allSettled([early.head, early.tracked, early.first?.then((first) => first?.blobs)])
    sweepTemporaries(workspace.own)
    throw error
  } finally {
    early.look?.stop()
    early.walk?.stop()
    early.first?.then(
      (first) => first?.stamping.stop(),
      () => {},
    )
  }
}

interface Start {
  readonly last: CaptureState | null
  readonly indexStamp: string
  readonly early: ReturnType<typeof startEarly>
  readonly pause: Pause
}

async function captureFrom(
  workspace: GitWorkspace,
  request: CaptureRequest,
  start: Start,
): Promise<Captured> {
  const { last, indexStamp, early } = start
  // Threads have begun to look at the files. What a snapshot needs of the user's objects has its link then already.
  ;(await early.first)?.link()
  // HEAD and the index belong to the whole work tree; a directory in it has no say about them.
  const inIndex = (await early.tracked)?.ofIndex?.rows.bytes
  const index = inIndex === undefined ? null : { indexStamp, bytes: inIndex }
  const repository =
    workspace.user.prefix === '' ? await recordRepositoryState(workspace.own, workspace.user, index) : null
  const { capture, seen, kept } = await look(workspace, request, start)
  const { listing, nested } = capture
  const { trackedUnlisted } = seen
  const candidates = await chooseCandidates(capture, spelledOnce(capture, [...trackedUnlisted, ...kept]))
  const changed = await findChanged(capture)
  const isSameListing =
    last !== null &&
    listing === last &&
    (capture.modes?.size ?? 0) === 0 &&
    hasSameKeptDirectories(capture) &&
    haveSameModesUnlisted(capture)
  if (isSameListing && candidates === null && changed.length === 0) {
    const { tree, entries } = last
    const head = await early.head
    const dirty = await isDirty(capture, { head, indexStamp, nested, tree, entries, touched: [] })
    const leftOut = [...last.leftOut].map(([path, { reason }]) => ({ path, reason }))
    const omitted = listOmitted(listing, { omitted: leftOut, entries })
    return finishCapture(workspace, request, {
      last,
      state: { ...last, ...seen, head, dirty },
      nested,
      repository,
      omitted,
      absent: findAbsent(capture, kept, { entries, omitted }),
      touched: [],
    })
  }
  const contents = await readContents(capture, candidates, changed)
  const precious = findPrecious(capture, contents, kept)
  const stored = await storeState(capture, contents, precious)
  const { entries, unread, unstable, leftOut } = contents
  const head = await early.head
  const dirty = await isDirty(capture, {
    head,
    indexStamp,
    nested,
    tree: stored.tree,
    entries,
    touched: contents.touched,
  })
  const state: CaptureState = {
    ...listing,
    ...stored,
    ...seen,
    head,
    entries,
    isAsListed: isAsListed(capture, contents),
    unread,
    leftOut,
    limitsKey: limitsKey(workspace.limits),
    precious,
    dirty,
  }
  const omitted = listOmitted(listing, { ...contents, omitted: allOmitted(contents) })
  const absent = findAbsent(capture, kept, { entries, omitted })
  const { touched } = contents
  const found = { last, state, nested, repository, omitted, absent, unstable, touched }
  return finishCapture(workspace, request, found)
}

function treesOf(states: readonly StoredState[]): string[] {
  return [...new Set(states.map(({ tree }) => tree))]
}

type Seen = Pick<CaptureState, 'indexStamp' | 'nestedIndexStamp' | 'gitlinks' | 'trackedUnlisted'>

/** Finds out what there is, and how it compares to what was there. */
async function look(
  workspace: GitWorkspace,
  { keepInView, lookFor = [], held = new Set(), written, modes, onProgress, signal }: CaptureRequest,
  { last, early, pause, indexStamp }: Start,
): Promise<{ capture: Capture; seen: Seen; kept: ReadonlySet<BytePath> }> {
  const { own } = workspace
  const isIndexKnown = last !== null && indexStamp !== '' && last.indexStamp === indexStamp
  const ofIndex = await (early.tracked ?? (isIndexKnown ? null : readTrackedFiles(workspace, signal)))
  const gitlinks = ofIndex?.gitlinks ?? last?.gitlinks ?? []
  const first = await early.first
  const listing = await listWorkspace({ ...workspace, gitlinks, pause }, last, () =>
    walkAhead(early, first, { pause, signal }),
  )
  const nested = nestedRepositories(workspace.path, listing.directories)
  const nestedIndexStamp = stampNested(nested)
  const isKnown = ofIndex === null && isTrackedKnown(last, listing, nestedIndexStamp)
  const tracked = isKnown
    ? null
    : addNestedFiles(ofIndex ?? (await readTrackedFiles(workspace, signal)), nested, own.format)
  const recall = recaller(own, last, treesOf(keepInView), signal)
  const files = await pathsInView({ last, listing, own, signal }, treesOf(keepInView), lookFor)
  const inView = directoriesInView({ ...workspace, last, listing }, keepInView, lookFor, files)
  const { kept, ...ofStates } = inView
  const capture = {
    ...workspace,
    last,
    isFirst: early.isFirst,
    look: early.look,
    listing,
    nested,
    tracked,
    ...ofStates,
    first,
    held,
    written: new Set(written),
    modes,
    recall,
    pause,
    onProgress,
    signal,
  }
  const inIndex = tracked === null ? (last?.trackedUnlisted ?? []) : tracked.entries.keys()
  const isSame = tracked === null && last !== null && listing.listed === last.listed
  const trackedUnlisted = isSame ? last.trackedUnlisted : unlisted(inIndex, listing)
  return { capture, seen: { indexStamp, nestedIndexStamp, gitlinks, trackedUnlisted }, kept }
}

/** While a thread is at it, this one looks at files; else it is better done here. */
async function walkAhead(
  { walk }: Start['early'],
  first: FirstCapture | null,
  { pause, signal }: { readonly pause: Pause; readonly signal: AbortSignal | undefined },
): Promise<Walk | null> {
  if (walk?.isTaken() !== true) return null
  first?.ahead()
  await first?.stamping.help(pause, walk.isDone)
  signal?.addEventListener('abort', walk.stop)
  try {
    const found = await walk.finish(first?.index ?? null)
    signal?.throwIfAborted()
    return found
  } finally {
    signal?.removeEventListener('abort', walk.stop)
  }
}

/** Whether the last capture's list of what is tracked and not listed can still be had without the indexes. */
function isTrackedKnown(
  last: CaptureState | null,
  listing: WorkspaceListing,
  nestedIndexStamp: string | null,
): boolean {
  if (last === null || nestedIndexStamp === null || last.nestedIndexStamp !== nestedIndexStamp) return false
  return isSuperset(listing.listed, last.listed)
}

/** `null` when one of the indexes changed a moment ago. */
function stampNested(nested: readonly NestedRepository[]): string | null {
  const stamps = nested.map(({ path, indexFile }) => [path, readIndexStamp(nativePath(indexFile))])
  return stamps.some(([, stamp]) => stamp === '') ? null : stamps.flat().join('\0')
}

/** Processes of git and threads are at work for it while the workspace is listed. */
function startEarly(workspace: GitWorkspace, last: CaptureState | null, signal: AbortSignal | undefined) {
  const { user, own } = workspace
  const isFirst = last === null && readSnapshotLog(own).length === 0
  const walk = isFirst ? startWalk(workspace) : null
  const tracked = last === null ? readTrackedFiles(workspace, signal) : null
  const first = isFirst
    ? (tracked?.then((files) => startFirst(workspace, files, { walk, signal })) ?? null)
    : null
  const head = readHead(user, last?.head ?? null, signal)
  // Whoever awaits them sees it; until then a failure elsewhere must not leave this one unhandled.
  for (const promise of [head, tracked, first]) promise?.catch(() => {})
  const look = last === null ? null : startLook(workspace.path, last.entries)
  return { head, tracked, isFirst, walk, first, look }
}

/** Then what git does not list now, it did not list then. */
function isSuperset(now: () => PathSet, then: () => PathSet): boolean {
  if (now === then) return true
  const names = now()
  for (const path of then().keys()) if (!names.has(path)) return false
  return true
}

function isAsListed({ last, listing }: Capture, { entries, touched }: Contents): boolean {
  const isKnown =
    touched !== null &&
    last?.isAsListed === true &&
    listing.listed === last.listed &&
    touched.every((path) => last.entries.has(path))
  // Where no name is new, there are as many only if none has gone.
  if (isKnown) return last.entries.size === entries.size
  const listed = listing.listed()
  if (listed.keys() === entries.paths()) return true
  if (listed.size !== entries.size) return false
  for (const path of listed.keys()) if (!entries.has(path)) return false
  return true
}
