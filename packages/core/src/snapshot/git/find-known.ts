import { pathResolver, type BytePath } from '../byte-path.ts'
import { believeIndex, matchIndex, NOT_BELIEVED, type BelievedEntries } from './believe-index.ts'
import type { CaptureState } from './capture-state.ts'
import { entriesOver, type ChangedEntries } from './changed-entries.ts'
import type { FileToRead } from './choose-within-limits.ts'
import { conversionRulesOf, type ConversionRules } from './conversion-rules.ts'
import { tableOf, type EntryTable } from './entry-table.ts'
import {
  isRegular,
  isSameStamp,
  lstatIfAllowed,
  stampOf,
  type CapturedEntry,
  type FileStamp,
} from './file-stamp.ts'
import { isUntouched, type IndexEntry } from './index-rows.ts'
import type { Pause } from './pause.ts'
import type { FirstCapture } from './start-first.ts'
import type { TrackedFiles } from './tracked-files.ts'

type Source = Parameters<typeof conversionRulesOf>[0] & {
  readonly last: CaptureState | null
  readonly tracked: TrackedFiles | null
  /** Whether there is no snapshot yet. */
  readonly isFirst: boolean
  readonly first: FirstCapture | null
  readonly pause: Pause
}

/** What is known of the files before any is read. */
export interface KnownFiles {
  /** What is read goes into them too. */
  readonly entries: ChangedEntries
  readonly toRead: readonly FileToRead[]
  /** Entries that the user's index has. Their blobs are, so far, only in the user's repository, and nobody has read them. */
  readonly believed: BelievedEntries | null
  /** The same of the indexes of other repositories. */
  readonly borrowed: Map<BytePath, CapturedEntry>
  /** The entries once all are there. */
  readonly toTable: () => EntryTable
}

/**
 * @param candidates all paths to look at, sorted; `null` when they are those of the last capture
 * @param changed those that may not be what the last capture saw
 */
export async function findKnown(
  source: Source,
  candidates: readonly BytePath[] | null,
  changed: readonly BytePath[],
): Promise<KnownFiles> {
  const { last, pause } = source
  const conversions = conversionRulesOf(source)
  const believed = candidates === null ? null : await believe(source, candidates, conversions)
  const growing = startEntries(last, believed, candidates, changed)
  const { entries } = growing
  const borrowed = new Map<BytePath, CapturedEntry>()
  const toRead: FileToRead[] = []
  const find = entryFinder(source, believed, changed, conversions)
  for (const [row, path] of (candidates ?? changed).entries()) {
    if (believed !== null && believed.rows[row] !== NOT_BELIEVED) continue
    const pausing = pause()
    if (pausing !== undefined) await pausing
    if (believed !== null) entries.delete(path)
    const found = find(path, row)
    if ('size' in found) {
      toRead.push({ path, ...found })
      continue
    }
    entries.set(path, found.entry)
    if (found.isBorrowed) borrowed.set(path, found.entry)
  }
  return { ...growing, toRead, believed, borrowed }
}

/** Later on, an index may have been written to hide what was done to a file. */
async function believe(
  { tracked, first, pause }: Source,
  candidates: readonly BytePath[],
  conversions: () => ConversionRules,
): Promise<BelievedEntries | null> {
  const ofIndex = tracked?.ofIndex ?? null
  if (first === null || ofIndex === null) return null
  const match = matchIndex(candidates, ofIndex)
  const rules = conversions()
  const ahead = first.ahead()
  return believeIndex(match, await first.stamping.finish(pause), rules, ahead)
}

/** A copy of entries that are known would take as long as a look at many files. */
function startEntries(
  last: CaptureState | null,
  believed: BelievedEntries | null,
  candidates: readonly BytePath[] | null,
  changed: readonly BytePath[],
): Pick<KnownFiles, 'entries' | 'toTable'> {
  const table = (candidates === null ? last?.entries : believed?.table) ?? null
  if (table !== null) {
    const entries = entriesOver(table)
    const toTable = () =>
      tableOf(entries, { table, touched: candidates === null ? changed : entries.changed() })
    return { entries, toTable }
  }
  const entries = entriesOver(new Map<BytePath, CapturedEntry>())
  return { entries, toTable: () => tableOf(entries, null) }
}

interface FoundEntry {
  readonly entry: CapturedEntry
  readonly isBorrowed: boolean
}

/** @returns the entry, or what is known of a file that has to be read */
function entryFinder(
  { path: root, last, tracked, isFirst }: Source,
  believed: BelievedEntries | null,
  changed: readonly BytePath[],
  conversions: () => ConversionRules,
): (path: BytePath, row: number) => FoundEntry | Omit<FileToRead, 'path'> {
  const before = last?.entries
  const mayDiffer = new Set(changed)
  const resolve = pathResolver(root)
  const stampNow = (path: BytePath, row: number): FileStamp | null => {
    const stamp = believed?.stampAt(row)
    if (stamp !== undefined) return stamp
    const stats = lstatIfAllowed(resolve(path))
    return stats === null || stats === 'denied' ? null : stampOf(stats)
  }
  return (path, row) => {
    const known = before?.get(path)
    if (known !== undefined && !mayDiffer.has(path)) return { entry: known, isBorrowed: false }
    const stamp = stampNow(path, row)
    const isKnown = known !== undefined
    if (stamp === null) return { size: 0, isKnown, isAlike: false }
    const entry = isFirst ? untouchedEntry(tracked?.entries.get(path), stamp) : null
    if (entry !== null && !conversions().mayDiffer(path)) return { entry, isBorrowed: true }
    const size = isRegular(stamp.mode) ? stamp.size : 0
    return { size, isKnown, isAlike: isKnown && isSameStamp(known, stamp) }
  }
}

/** @returns what the index says of a file that cannot have changed since, `null` otherwise */
function untouchedEntry(inIndex: IndexEntry | undefined, stamp: FileStamp): CapturedEntry | null {
  if (inIndex === undefined || !isUntouched(inIndex, stamp)) return null
  return { ...stamp, id: inIndex.id, settled: true }
}
