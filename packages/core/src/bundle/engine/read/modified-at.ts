import type { EntryFacts } from '../../format/tree-node.ts'

/** ISO 8601, UTC, to the millisecond; '' for a time beyond the year 275,760, which a file may have and no `Date` can. */
export function modifiedAtOf(entry: Pick<EntryFacts, 'mtimeSeconds' | 'mtimeNanoseconds'>): string {
  const time = new Date(entry.mtimeSeconds * 1000 + Math.floor(entry.mtimeNanoseconds / 1_000_000))
  return Number.isNaN(time.getTime()) ? '' : time.toISOString()
}
