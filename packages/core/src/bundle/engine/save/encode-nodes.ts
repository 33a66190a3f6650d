import type { RepositoryKeys } from '../../format/repository-keys.ts'
import { encodeDirectory, type TreeEntry } from '../../format/tree-node.ts'
import { listRuns, MAX_INLINE_RUNS, type NewChunk } from '../../format/tree-runs.ts'

/** Every chunk that describes a directory: lists of its files' runs, parts, and in the end its node. */
export function encodeNodes(
  entries: readonly TreeEntry[],
  keys: RepositoryKeys | null,
): readonly [...NewChunk[], NewChunk] {
  const lists: NewChunk[] = []
  const stored = entries.map((entry) => {
    if (entry.type !== 'file' || entry.runs.length <= MAX_INLINE_RUNS) return entry
    const listed = listRuns(entry.runs, keys)
    lists.push(...listed.lists)
    return { ...entry, runs: listed.runs }
  })
  return [...lists, ...encodeDirectory(stored, keys)]
}
