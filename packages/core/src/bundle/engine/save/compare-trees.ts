import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { isSameFileTime } from '../../../filesystem/file-time.ts'
import type { FileEntry, TreeEntry } from '../../format/tree-node.ts'
import type { VersionStats } from '../../format/version-record.ts'
import type { KnownDirectory } from '../known/known-tree.ts'
import type { SavedTree } from './saved-tree.ts'

type Directories = ReadonlyMap<ByteString, KnownDirectory>
type Comparison = Pick<SavedTree, 'added' | 'changed' | 'removed' | 'unchanged' | 'stats'>

/** Counts files and links by what became of them since the parent. */
export function compareTrees(before: Directories, after: Directories): Comparison {
  const totals = { added: zero(), changed: zero(), removed: zero(), unchanged: zero() }
  const stats: { -readonly [Field in keyof VersionStats]: number } = {
    files: 0,
    directories: after.size,
    symlinks: 0,
    contentBytes: after.get('')?.contentBytesBelow ?? 0,
  }
  for (const [path, directory] of after) {
    const own = countsOf(directory)
    stats.files += own.files
    stats.symlinks += own.symlinks
    const old = before.get(path)
    if (old !== directory) compareEntries(old?.entries ?? [], directory.entries, totals)
    else {
      totals.unchanged.files += own.files + own.symlinks
      totals.unchanged.bytes += own.bytes
    }
  }
  for (const [path, directory] of before) {
    if (!after.has(path)) compareEntries(directory.entries, [], totals)
  }
  return { ...totals, stats }
}

interface Total {
  files: number
  bytes: number
}

interface Totals {
  readonly added: Total
  readonly changed: Total
  readonly removed: Total
  readonly unchanged: Total
}

interface Counts {
  files: number
  symlinks: number
  /** Of the files. */
  bytes: number
}

/** Most directories stay the same objects from save to save. */
const counted = new WeakMap<KnownDirectory, Counts>()

function countsOf(directory: KnownDirectory): Counts {
  const before = counted.get(directory)
  if (before !== undefined) return before
  const counts: Counts = { files: 0, symlinks: 0, bytes: 0 }
  for (const entry of directory.entries) {
    if (entry.type === 'symlink') counts.symlinks += 1
    if (entry.type !== 'file') continue
    counts.files += 1
    counts.bytes += entry.size
  }
  counted.set(directory, counts)
  return counts
}

function zero(): Total {
  return { files: 0, bytes: 0 }
}

function count(total: Total, entry: TreeEntry): void {
  if (entry.type === 'directory') return
  total.files += 1
  if (entry.type === 'file') total.bytes += entry.size
}

function compareEntries(before: readonly TreeEntry[], after: readonly TreeEntry[], totals: Totals): void {
  let position = 0
  for (const entry of after) {
    let old = before[position]
    for (; old !== undefined && old.name < entry.name; old = before[position]) {
      count(totals.removed, old)
      position += 1
    }
    if (old?.name !== entry.name) {
      count(totals.added, entry)
      continue
    }
    position += 1
    if (entry.type === 'directory') count(totals.removed, old)
    else if (old.type === 'directory') count(totals.added, entry)
    else count(isSame(old, entry) ? totals.unchanged : totals.changed, entry)
  }
  for (const old of before.slice(position)) count(totals.removed, old)
}

function isSame(left: TreeEntry, right: TreeEntry): boolean {
  if (left === right) return true
  if (left.mode !== right.mode || !hasSameTime(left, right)) return false
  if (left.type === 'symlink') return right.type === 'symlink' && left.target === right.target
  return left.type === 'file' && right.type === 'file' && hasSameContent(left, right)
}

/** As far as a load can set it: what was only loaded has not changed. */
function hasSameTime(left: TreeEntry, right: TreeEntry): boolean {
  if (left.mtimeSeconds === right.mtimeSeconds && left.mtimeNanoseconds === right.mtimeNanoseconds)
    return true
  return isSameFileTime(timeOf(left), timeOf(right))
}

function timeOf({ mtimeSeconds, mtimeNanoseconds }: TreeEntry): bigint {
  return BigInt(mtimeSeconds) * 1_000_000_000n + BigInt(mtimeNanoseconds)
}

function hasSameContent(left: FileEntry, right: FileEntry): boolean {
  return (
    left.size === right.size &&
    left.hardLinkGroup === right.hardLinkGroup &&
    left.runs.length === right.runs.length &&
    left.runs.every(
      (run, index) => run.id === right.runs[index]?.id && run.length === right.runs[index]?.length,
    )
  )
}
