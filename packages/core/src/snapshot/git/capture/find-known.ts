import { compareBytes, pathResolver, type BytePath } from '../../byte-path.ts'
import { believeIndex, matchIndex, NOT_BELIEVED, type BelievedEntries } from './believe-index.ts'
import type { CaptureState } from './capture-state.ts'
import { entriesOver, type ChangedEntries } from '../table/changed-entries.ts'
import type { FileToRead } from './choose-within-limits.ts'
import { conversionRulesOf, type ConversionRules } from './conversion-rules.ts'
import { tableOf, type EntryTable } from '../table/entry-table.ts'
import {
  isRegular,
  isSameStamp,
  lstatIfAllowed,
  stampOf,
  type CapturedEntry,
  type FileStamp,
} from '../table/file-stamp.ts'
import { isUntouched, type IndexEntry } from '../table/index-rows.ts'
import type { Pause } from '../table/pause.ts'
import { rowOf } from '../table/sorted-paths.ts'
import type { FirstCapture } from './start-first.ts'
import type { TrackedFiles } from '../user/tracked-files.ts'

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
  /** Paths whose entry may differ from the last capture's; `null` when any may. */
  readonly touched: readonly BytePath[] | null
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
  const { looked, gone } =
    last !== null && candidates !== null
      ? findTouched(last.entries.paths(), candidates, changed)
      : { looked: candidates ?? changed, gone: [] }
  const touched = last === null ? null : [...looked, ...gone]
  const table = believed?.table ?? last?.entries ?? null
  const entries = entriesOver(table ?? new Map<BytePath, CapturedEntry>())
  for (const path of gone) entries.delete(path)
  const borrowed = new Map<BytePath, CapturedEntry>()
  const toRead: FileToRead[] = []
  const find = entryFinder(source, believed, changed, conversions)
  for (const [row, path] of looked.entries()) {
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
  const toTable = () => tableOf(entries, table && { table, touched: touched ?? entries.changed() })
  return { entries, toRead, believed, borrowed, touched, toTable }
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

/**
 * A copy of all entries that are known would take as long as a look at many files.
 * @param known paths of the last capture, sorted
 * @returns the paths to look at, in order, and those that count no more
 */
function findTouched(
  known: readonly BytePath[],
  candidates: readonly BytePath[],
  changed: readonly BytePath[],
): { readonly looked: readonly BytePath[]; readonly gone: readonly BytePath[] } {
  const looked = new Set(changed.filter((path) => rowOf(candidates, path) !== null))
  const gone: BytePath[] = []
  let row = 0
  for (const path of candidates) {
    for (; row < known.length && known[row] !== path && (known[row] ?? '') < path; row += 1)
      gone.push(known[row] ?? '')
    if (known[row] === path) row += 1
    else looked.add(path)
  }
  return { looked: [...looked].toSorted(compareBytes), gone: [...gone, ...known.slice(row)] }
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
    if (stamp === null) return { size: 0, isKnown, isFree: true }
    const entry = isFirst ? untouchedEntry(tracked?.entries.get(path), stamp) : null
    if (entry !== null && !conversions().mayDiffer(path)) return { entry, isBorrowed: true }
    const size = isRegular(stamp.mode) ? stamp.size : 0
    return { size, isKnown, isFree: isKnown && isSameStamp(known, stamp) }
  }
}

/** @returns what the index says of a file that cannot have changed since, `null` otherwise */
function untouchedEntry(inIndex: IndexEntry | undefined, stamp: FileStamp): CapturedEntry | null {
  if (inIndex === undefined || !isUntouched(inIndex, stamp)) return null
  return { ...stamp, id: inIndex.id, settled: true }
}
