import type { BigIntStats } from 'node:fs'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import { excludeFilter } from '../../exclude-filter.ts'
import type { LeftEntry } from './load-options.ts'

/** What a load leaves alone, because no save has taken it. */
export interface LeftNotes {
  readonly entries: LeftEntry[]
  /** `null` for an entry that a load compares, replaces and removes. */
  reasonFor(path: ByteString, stats: BigIntStats): LeftEntry['reason'] | null
  add(path: ByteString, reason: LeftEntry['reason'], isInVersion: boolean): void
}

/** @throws `INVALID_INPUT` for a pattern that cannot match anything */
export function createLeftNotes(exclude: readonly string[] = []): LeftNotes {
  const isExcluded = excludeFilter(exclude)
  const entries: LeftEntry[] = []
  return {
    entries,
    reasonFor(path, stats) {
      if (isExcluded(path)) return 'excluded'
      return stats.isFile() || stats.isDirectory() || stats.isSymbolicLink() ? null : 'special-file'
    },
    add: (path, reason, isInVersion) => void entries.push({ path: pathText(path), reason, isInVersion }),
  }
}
