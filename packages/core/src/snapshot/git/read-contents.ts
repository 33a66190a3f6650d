import type { OmissionReason } from '../snapshot.ts'
import { compareBytes, parentOf, pathResolver, type BytePath } from './byte-path.ts'
import { isSameStamp, type CapturedEntry, type CaptureState, type CaptureStateFile } from './capture-state.ts'
import { lstatIfAllowed, lstatOrNull, stampOf, type WorkspaceListing } from './list-workspace.ts'
import type { Pause } from './pause.ts'
import { adoptObjects, type PrivateRepository } from './private-repository.ts'
import { readEntry } from './read-entry.ts'
import { mayConvertContent, type TrackedFiles } from './tracked-files.ts'
import type { UserRepository } from './user-repository.ts'

export interface GitWorkspace {
  /** Real path. */
  readonly path: string
  readonly user: UserRepository
  readonly own: PrivateRepository
  readonly stateFile: CaptureStateFile
}

/** One capture in progress. */
export interface Capture extends GitWorkspace {
  readonly last: CaptureState | null
  readonly listing: WorkspaceListing
  readonly tracked: TrackedFiles | null
  readonly pause: Pause
  readonly signal?: AbortSignal | undefined
}

export interface Contents {
  readonly entries: Map<BytePath, CapturedEntry>
  readonly omitted: { readonly path: BytePath; readonly reason: OmissionReason }[]
  readonly unstable: Set<BytePath>
  /** Entries whose blobs are, so far, only in the user's repository. */
  readonly borrowed: Set<BytePath>
}

/**
 * All paths to look at, sorted; `null` when they are those of the last capture. Unlisted ones count only where no link
 * leads to another place.
 */
export async function chooseCandidates(
  capture: Capture,
  extra: readonly BytePath[],
): Promise<readonly BytePath[] | null> {
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
  const added = new Set<BytePath>()
  for (const path of extra) {
    await capture.pause()
    if (isRealDirectory(parentOf(path))) added.add(path)
  }
  const known = last?.entries
  const isKnown = (path: BytePath) => known?.has(path) === true
  const isAsBefore =
    known?.size === listing.listed.size + added.size &&
    every(listing.listed, isKnown) &&
    every(added, isKnown)
  return isAsBefore ? null : [...listing.listed, ...added].toSorted(compareBytes)
}

function every(paths: ReadonlySet<BytePath>, holds: (path: BytePath) => boolean): boolean {
  for (const path of paths) if (!holds(path)) return false
  return true
}

/** @param candidates what {@link chooseCandidates} says */
export async function readContents(
  capture: Capture,
  candidates: readonly BytePath[] | null,
): Promise<Contents> {
  const { last } = capture
  let paths = candidates
  let entries = new Map<BytePath, CapturedEntry>()
  if (last !== null && candidates === null) {
    paths = await findChanged(capture, last.entries)
    entries = paths.length === 0 ? last.entries : new Map(last.entries)
  }
  const contents: Contents = { entries, omitted: [], unstable: new Set(), borrowed: new Set() }
  const resolve = pathResolver(capture.path)
  const canSeed = createSeedRule(capture)
  const read: BytePath[] = []
  for (const path of paths ?? []) {
    await capture.pause()
    const stats = lstatIfAllowed(resolve(path))
    if (stats === null || stats === 'denied') {
      entries.delete(path)
      if (stats === 'denied') contents.omitted.push({ path, reason: 'unreadable' })
      continue
    }
    const stamp = stampOf(stats)
    const before = last?.entries.get(path)
    const inIndex = capture.tracked?.entries.get(path)
    if (before !== undefined && before.settled && isSameStamp(before, stamp)) entries.set(path, before)
    else if (inIndex !== undefined && capture.tracked?.isUntouched(inIndex, stamp) === true && canSeed()) {
      entries.set(path, { ...stamp, id: inIndex.id, settled: true })
      contents.borrowed.add(path)
    } else {
      await readInto(capture, contents, path)
      read.push(path)
    }
  }
  await readMovedAgain(capture, contents, read)
  return contents
}

/** What moved after it was read is read once more, and marked. */
async function readMovedAgain(
  capture: Capture,
  contents: Contents,
  read: readonly BytePath[],
): Promise<void> {
  const resolve = pathResolver(capture.path)
  for (const path of read) {
    await capture.pause()
    const entry = contents.entries.get(path)
    const stats = lstatIfAllowed(resolve(path))
    if (entry === undefined || (stats !== null && stats !== 'denied' && isSameStamp(entry, stampOf(stats))))
      continue
    await readInto(capture, contents, path)
    contents.unstable.add(path)
  }
}

/** The hot loop of a capture where nothing has changed. */
async function findChanged(
  capture: Capture,
  entries: ReadonlyMap<BytePath, CapturedEntry>,
): Promise<BytePath[]> {
  const resolve = pathResolver(capture.path)
  const changed: BytePath[] = []
  for (const [path, entry] of entries) {
    const pause = capture.pause()
    if (pause !== undefined) await pause
    const stats = lstatIfAllowed(resolve(path))
    const isSame =
      stats !== null &&
      stats !== 'denied' &&
      entry.settled &&
      entry.ctimeNs === stats.ctimeNs &&
      entry.mtimeNs === stats.mtimeNs &&
      entry.inode === stats.ino &&
      entry.size === Number(stats.size) &&
      entry.mode === Number(stats.mode)
    if (!isSame) changed.push(path)
  }
  return changed
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
export async function adoptBorrowed(capture: Capture, contents: Contents): Promise<void> {
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
