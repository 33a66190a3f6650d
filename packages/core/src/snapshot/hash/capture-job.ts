import { toWorkspaceError } from '../../filesystem/filesystem-error.ts'
import type { ScanEntry } from '../../filesystem/scan-entry.ts'
import { hashFile, type FileHash } from '../../filesystem/scan-file-hash.ts'
import { comparePaths } from '../../filesystem/scan-order.ts'
import { scanTree } from '../../filesystem/scan-tree.ts'
import { isGitInAnotherCase } from '../git-in-another-case.ts'
import type { SnapshotProgressListener } from '../snapshot-progress.ts'
import { noOmissions, type Omission, type OmissionReason, type SnapshotCoverage } from '../snapshot.ts'
import { compileIgnoreRules, type IgnoreRules } from './ignore-rules.ts'
import { serializeManifest } from './manifest.ts'
import { storeManifest } from './manifest-files.ts'
import { recallCapture, rememberCapture, type CaptureMemory } from './stat-cache.ts'

/** All that a capture needs, as plain data for another thread. */
export interface CaptureRequest {
  /** Real path of the workspace. */
  readonly root: string
  /** Where manifests and the stat cache are kept. */
  readonly directory: string
  /** Relative path of the state directory when it lies inside the workspace. */
  readonly ownPath: string | null
  readonly rules: IgnoreRules
}

export interface CaptureCallOptions {
  readonly onProgress?: SnapshotProgressListener | undefined
  readonly signal?: AbortSignal | undefined
}

export interface CaptureOutcome {
  readonly ref: string
  readonly entries: number
  readonly coverage: SnapshotCoverage
}

/** A file that must be read; `index` is its place in the list of entries. */
export interface UnknownFile {
  readonly entry: ScanEntry
  readonly index: number
}

/**
 * One capture in steps: run `walk` to its end, hash every file given to `onUnknown`, hand the hashes to `finish`.
 * Each step is synchronous, so that a thread can run it at full speed and a caller can pause between steps.
 */
export interface CaptureJob {
  readonly readingBeganNs: bigint
  /** Yields, now and then, how many paths it has seen. */
  walk(): Generator<number, void>
  finish(hashes: ReadonlyMap<number, FileHash>): CaptureOutcome
}

const EXAMPLES = 100

export function createCaptureJob(
  request: CaptureRequest,
  onUnknown: (file: UnknownFile) => void,
  nowMs: number = Date.now(),
): CaptureJob {
  const readingBeganNs = BigInt(nowMs) * 1_000_000n
  const ignores = compileIgnoreRules(request.rules)
  const omissions = createOmissions()
  const unstable = new Set<string>()
  const previous = recallCapture(request.directory, request.root)
  let scanned: ScanEntry[] = []
  return {
    readingBeganNs,
    *walk() {
      try {
        scanned = yield* scanTree({
          root: request.root,
          omissionOf(path, name) {
            if (isGitInAnotherCase(name)) return 'unsupported-name'
            return path === request.ownPath || ignores(path, name) ? 'ignored' : null
          },
          previous: previous.entries,
          onUnknown: (entry, index) => onUnknown({ entry, index }),
          onOmitted: omissions.add,
          onUnstable: (path) => void unstable.add(path),
        })
      } catch (error) {
        throw toWorkspaceError(error, 'list the workspace', request.root)
      }
    },
    finish(hashes) {
      const entries = applyHashes(scanned, hashes, omissions.add, unstable)
      const rules = JSON.stringify(request.rules)
      const serialize = once(() => serializeManifest(request.rules, entries))
      const ref = sameRef(previous, rules, entries) ?? serialize().ref
      try {
        storeManifest(request.directory, ref, () => serialize().chunks)
      } catch (error) {
        throw toWorkspaceError(error, "store a snapshot's manifest in", request.directory)
      }
      const memory = { entries, manifest: { ref, rules } }
      const hasNews = [...hashes.values()].some((hashed) => hashed.entry?.settled === true)
      rememberCapture(request.directory, request.root, memory, hasNews)
      return { ref, entries: entries.length, coverage: omissions.coverage(entries.length, unstable) }
    },
  }
}

/** Reads the next of the files that are not known yet. @throws `UNAVAILABLE` when the process is out of descriptors. */
export function hashUnknown(root: string, file: UnknownFile, readingBeganNs: bigint): FileHash {
  try {
    return hashFile(root, file.entry, readingBeganNs)
  } catch (error) {
    throw toWorkspaceError(error, 'read', file.entry.path)
  }
}

function applyHashes(
  scanned: readonly ScanEntry[],
  hashes: ReadonlyMap<number, FileHash>,
  onOmitted: (path: string, reason: OmissionReason) => void,
  unstable: Set<string>,
): readonly ScanEntry[] {
  if (hashes.size === 0) return scanned
  return scanned.flatMap((entry, index) => {
    const hashed = hashes.get(index)
    if (hashed === undefined) return [entry]
    if (hashed.outcome === 'unreadable') onOmitted(entry.path, 'unreadable')
    if (hashed.outcome === 'moved') unstable.add(entry.path)
    return hashed.entry === null ? [] : [hashed.entry]
  })
}

/** The ref of the last capture when this one found the very same. Files that were not read again are the same objects. */
function sameRef(previous: CaptureMemory, rules: string, entries: readonly ScanEntry[]): string | null {
  const { manifest } = previous
  if (manifest === null || manifest.rules !== rules || previous.entries.length !== entries.length) return null
  return entries.every((entry, index) => isSame(entry, previous.entries[index])) ? manifest.ref : null
}

function isSame(entry: ScanEntry, other: ScanEntry | undefined): boolean {
  return (
    entry === other ||
    (entry.path === other?.path &&
      entry.type === other.type &&
      entry.content === other.content &&
      entry.mode === other.mode &&
      entry.size === other.size)
  )
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | null = null
  return () => (made ??= { value: make() }).value
}

function createOmissions() {
  const counts = noOmissions()
  let examples: Omission[] = []
  const trim = (): Omission[] =>
    examples.toSorted((left, right) => comparePaths(left.path, right.path)).slice(0, EXAMPLES)
  return {
    add: (path: string, reason: OmissionReason): void => {
      counts[reason] += 1
      examples.push({ path, reason })
      if (examples.length >= 10 * EXAMPLES) examples = trim()
    },
    coverage(captured: number, unstable: ReadonlySet<string>): SnapshotCoverage {
      return {
        captured,
        complete: examples.length === 0 && unstable.size === 0,
        omitted: { ...counts },
        examples: trim(),
        unstable: [...unstable].toSorted(comparePaths),
      }
    },
  }
}
