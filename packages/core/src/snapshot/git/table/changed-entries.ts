import type { BytePath } from '../../byte-path.ts'
import type { CapturedEntries } from './entry-table.ts'
import type { CapturedEntry } from './file-stamp.ts'

export interface GrowingEntries extends CapturedEntries {
  set(path: BytePath, entry: CapturedEntry): unknown
  delete(path: BytePath): unknown
}

export interface ChangedEntries extends GrowingEntries {
  /** Everything that was set or deleted. */
  changed(): BytePath[]
}

/** Entries that are those of an earlier capture but for a few: a copy of all would take as long as a look at many files. */
export function entriesOver(earlier: CapturedEntries): ChangedEntries {
  /** `undefined` for what is gone. */
  const changes = new Map<BytePath, CapturedEntry | undefined>()
  let size = earlier.size
  const get = (path: BytePath) => (changes.has(path) ? changes.get(path) : earlier.get(path))
  const has = (path: BytePath) => (changes.has(path) ? changes.get(path) !== undefined : earlier.has(path))
  function* keys(): Generator<BytePath> {
    for (const path of earlier.keys()) if (has(path)) yield path
    for (const [path, entry] of changes) if (entry !== undefined && !earlier.has(path)) yield path
  }
  return {
    get size() {
      return size
    },
    get,
    has,
    keys,
    changed: () => [...changes.keys()],
    set(path, entry) {
      if (!has(path)) size += 1
      changes.set(path, entry)
    },
    delete(path) {
      if (has(path)) size -= 1
      changes.set(path, undefined)
    },
    *[Symbol.iterator]() {
      for (const path of keys()) {
        const entry = get(path)
        if (entry !== undefined) yield [path, entry] as const
      }
    },
  }
}
