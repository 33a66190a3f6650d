import type { BytePath } from '../../byte-path.ts'
import { isPreciousPath } from '../../precious-rules.ts'
import { pathsOf } from './list-workspace.ts'
import type { Capture, Contents } from './read-contents.ts'

/** Files that the rules name, and those that they named when they came into view. */
export function findPrecious(
  { last, listing, precious: rules }: Capture,
  { entries }: Contents,
  kept: ReadonlySet<BytePath>,
): Set<BytePath> {
  const precious = new Set<BytePath>()
  for (const path of pathsOf(listing.directories, 'precious')) if (entries.has(path)) precious.add(path)
  for (const path of kept) {
    if (entries.has(path) && (last?.precious.has(path) === true || isPreciousPath(rules, path)))
      precious.add(path)
  }
  return precious
}
