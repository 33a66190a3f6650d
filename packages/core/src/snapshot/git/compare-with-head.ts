import { splitRecords, type BytePath } from '../byte-path.ts'
import type { CapturedEntry } from './file-stamp.ts'
import type { CaptureState } from './capture-state.ts'
import { runGit } from './git-command.ts'
import { lstatOrNull } from './file-stamp.ts'
import type { NestedRepository } from './nested-repository.ts'
import { alternateEnvironment, privateCall, type PrivateRepository } from './private-repository.ts'
import { hasSameStamp, readTrackedFiles, type TrackedFiles } from './tracked-files.ts'
import type { HeadState } from './read-head.ts'
import type { UserRepository } from './repository-layout.ts'

interface Comparison {
  readonly head: HeadState
  readonly tree: string
  readonly indexStamp: string
  readonly nested: readonly NestedRepository[]
  readonly entries: () => ReadonlyMap<BytePath, CapturedEntry>
}

interface Source {
  readonly user: UserRepository
  readonly own: PrivateRepository
  readonly last: CaptureState | null
  readonly tracked: TrackedFiles | null
  readonly signal?: AbortSignal | undefined
}

/**
 * Whether the captured content differs from HEAD's. What git itself would not call a change does not count: other
 * repositories, files left out of a sparse checkout, and files that only differ by a conversion on check-in.
 */
export async function isDirty(
  source: Source,
  comparison: Comparison,
): Promise<{ key: string; value: boolean }> {
  const { head, tree, indexStamp, nested, entries } = comparison
  const key = `${head.tree ?? ''} ${tree} ${indexStamp}`
  if (head.tree === null) return { key, value: entries().size > 0 }
  if (head.tree === tree) return { key, value: false }
  if (indexStamp !== '' && source.last?.dirty?.key === key) return source.last.dirty
  const output = await runGit(
    privateCall(source.own, ['diff-tree', '-r', '-z', '--raw', '--no-renames', head.tree, tree], {
      environment: alternateEnvironment(source.user.objectsDirectory),
      signal: source.signal,
    }),
  )
  const records = recordsOutside(splitRecords(output), nested)
  const indexCtimeNs = lstatOrNull(source.user.indexFile)?.ctimeNs ?? 0n
  // What is not in HEAD, and what was changed after the index was written, is a change whatever the index says.
  const isPlainChange = (record: string, path: BytePath): boolean => {
    const [oldMode, , , , status] = record.slice(1).split(' ')
    const entry = entries().get(path)
    return (
      status === 'A' ||
      (status === 'M' && oldMode !== '160000' && entry !== undefined && entry.ctimeNs > indexCtimeNs)
    )
  }
  const some = (holds: typeof isPlainChange) =>
    records.some((record, at) => at % 2 === 0 && holds(record, records[at + 1] ?? ''))
  if (some(isPlainChange)) return { key, value: true }
  const tracked = source.tracked ?? (await readTrackedFiles(source.user, source.signal))
  const isChange = (record: string, path: BytePath): boolean => {
    const [oldMode, , oldId, , status] = record.slice(1).split(' ')
    const inIndex = tracked.entries.get(path)
    const entry = entries().get(path)
    if (oldMode === '160000') return false
    if (inIndex === undefined || inIndex.id !== oldId) return true
    if (status === 'D') return !inIndex.skipWorktree
    return status !== 'M' || entry === undefined || !hasSameStamp(inIndex, entry)
  }
  return { key, value: some(isChange) }
}

/** What is in other repositories is not in HEAD's tree. */
function recordsOutside(records: readonly string[], nested: readonly NestedRepository[]): string[] {
  const places = nested.map(({ path }) => `${path}/`)
  const isOutside = (path: BytePath) => !places.some((place) => path.startsWith(place))
  return records.filter((_record, at) => isOutside(records[at - (at % 2) + 1] ?? ''))
}
