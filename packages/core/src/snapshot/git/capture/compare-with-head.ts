import { splitRecords, type BytePath } from '../../byte-path.ts'
import type { Dirtiness, Witness } from './dirtiness.ts'
import type { CapturedEntries } from '../table/entry-table.ts'
import type { CaptureState } from './capture-state.ts'
import { runGit } from '../private/git-command.ts'
import { lstatOrNull } from '../table/file-stamp.ts'
import type { NestedRepository } from '../user/nested-repository.ts'
import { alternateEnvironment, privateCall, type PrivateRepository } from '../private/private-repository.ts'
import { hasSameStamp } from '../table/index-rows.ts'
import { readTrackedFiles, type TrackedFiles } from '../user/tracked-files.ts'
import type { HeadState } from '../user/read-head.ts'
import type { UserRepository } from '../user/repository-layout.ts'

interface Comparison {
  readonly head: HeadState
  readonly tree: string
  readonly indexStamp: string
  readonly nested: readonly NestedRepository[]
  readonly entries: CapturedEntries
  /** Paths that may differ from the last capture's; `null` when any may. */
  readonly touched: readonly BytePath[] | null
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
export async function isDirty(source: Source, comparison: Comparison): Promise<Dirtiness> {
  const { head, tree, indexStamp, nested, entries } = comparison
  const key = `${head.tree ?? ''} ${tree} ${indexStamp}`
  if (head.tree === null) return { key, value: entries.size > 0, witness: null }
  if (head.tree === tree) return { key, value: false, witness: null }
  if (indexStamp !== '' && source.last?.dirty?.key === key) return source.last.dirty
  const indexCtimeNs = lstatOrNull(source.user.indexFile)?.ctimeNs ?? 0n
  // What is not in HEAD, and what was changed after the index was written, is a change whatever the index says.
  const isPlainChange = ({ path, id }: Witness): boolean => {
    const entry = entries.get(path)
    return entry !== undefined && (id === '' || (entry.id !== id && entry.ctimeNs > indexCtimeNs))
  }
  const isOutside = outsideOf(nested)
  for (const witness of likelyWitnesses(source, comparison))
    if (isOutside(witness.path) && isPlainChange(witness)) return { key, value: true, witness }
  const output = await runGit(
    privateCall(source.own, ['diff-tree', '-r', '-z', '--raw', '--no-renames', head.tree, tree], {
      environment: alternateEnvironment(source.user.objectsDirectory),
      signal: source.signal,
    }),
  )
  const changes = readChanges(splitRecords(output)).filter(({ path }) => isOutside(path))
  for (const { path, status, oldMode, oldId } of changes) {
    const witness = { path, id: status === 'A' ? '' : oldId }
    if (status === 'A' || (status === 'M' && oldMode !== '160000' && isPlainChange(witness)))
      return { key, value: true, witness }
  }
  const tracked = source.tracked ?? (await readTrackedFiles(source, source.signal))
  const isChange = ({ path, status, oldMode, oldId }: HeadChange): boolean => {
    const inIndex = tracked.entries.get(path)
    const entry = entries.get(path)
    if (oldMode === '160000') return false
    if (inIndex === undefined || inIndex.id !== oldId) return true
    if (status === 'D') return !inIndex.skipWorktree
    return status !== 'M' || entry === undefined || !hasSameStamp(inIndex, entry)
  }
  return { key, value: changes.some(isChange), witness: null }
}

/** Which files may show it without asking git, as long as HEAD is where it was at the last capture. */
function* likelyWitnesses({ last }: Source, { head, touched }: Comparison): Generator<Witness> {
  if (last === null || last.head.tree !== head.tree) return
  if (last.dirty?.witness) yield last.dirty.witness
  if (last.tree !== head.tree) return
  for (const path of touched ?? []) yield { path, id: last.entries.get(path)?.id ?? '' }
}

interface HeadChange {
  readonly path: BytePath
  readonly status: string | undefined
  readonly oldMode: string | undefined
  readonly oldId: string
}

function readChanges(records: readonly string[]): HeadChange[] {
  const changes: HeadChange[] = []
  for (let at = 0; at + 1 < records.length; at += 2) {
    const [oldMode, , oldId = '', , status] = (records[at] ?? '').slice(1).split(' ')
    changes.push({ path: records[at + 1] ?? '', status, oldMode, oldId })
  }
  return changes
}

/** What is in other repositories is not in HEAD's tree. */
function outsideOf(nested: readonly NestedRepository[]): (path: BytePath) => boolean {
  const places = nested.map(({ path }) => `${path}/`)
  return (path) => !places.some((place) => path.startsWith(place))
}
