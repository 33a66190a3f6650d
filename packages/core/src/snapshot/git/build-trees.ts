import { compareBytes, parentOf, type BytePath } from '../byte-path.ts'
import type { CapturedEntries } from './entry-table.ts'
import { isLink, type CapturedEntry } from './file-stamp.ts'
import { pathsIn } from './sorted-paths.ts'
import { objectId, type PrivateRepository } from './private-repository.ts'
import { idBytesOf } from './object-format.ts'

/** The three kinds that a git tree knows. */
export function treeMode(mode: number): '100644' | '100755' | '120000' {
  if (isLink(mode)) return '120000'
  return (mode & 0o100) === 0 ? '100644' : '100755'
}

interface Child {
  readonly sortKey: string
  readonly head: string
  readonly id: string
}

export interface BuiltTrees {
  readonly root: string
  /** By directory; the workspace itself is the empty path. */
  readonly ids: Map<BytePath, string>
  /** Content of the trees that were built now, by id. */
  readonly built: Map<string, Buffer>
}

/** Of an earlier state. */
export interface KnownTrees {
  readonly ids: ReadonlyMap<BytePath, string>
  /** All paths that differ from it. */
  readonly changed: Iterable<BytePath>
  /** Those of all entries, sorted, where they are known without looking at each. */
  readonly paths: readonly BytePath[] | null
}

/** The git trees of all entries. Only the directories above what differs from the known ones are built. */
export function buildTrees(
  repository: PrivateRepository,
  entries: CapturedEntries,
  known: KnownTrees,
): BuiltTrees {
  const affected = ancestorsOf(known.changed)
  const directories = new Map<BytePath, Child[]>([['', []]])
  const childrenOf = (directory: BytePath): Child[] => {
    let children = directories.get(directory)
    if (children === undefined) {
      children = []
      directories.set(directory, children)
      if (directory !== '') childrenOf(parentOf(directory))
    }
    return children
  }
  for (const [path, entry] of entriesToBuild(entries, known, affected)) {
    const directory = parentOf(path)
    const name = path.slice(directory === '' ? 0 : directory.length + 1)
    childrenOf(directory).push({ sortKey: name, head: `${treeMode(entry.mode)} ${name}\0`, id: entry.id })
  }
  const ids = new Map<BytePath, string>()
  const addToParent = (directory: BytePath, id: string) => {
    const parent = parentOf(directory)
    const name = directory.slice(parent === '' ? 0 : parent.length + 1)
    childrenOf(parent).push({ sortKey: `${name}/`, head: `40000 ${name}\0`, id })
  }
  for (const [directory, id] of known.ids) {
    if (affected.has(directory)) continue
    ids.set(directory, id)
    if (affected.has(parentOf(directory))) addToParent(directory, id)
  }
  const built = new Map<string, Buffer>()
  const idBytes = idBytesOf(repository.format)
  // A directory's path sorts before the paths below it, so that in reverse order the inner trees come first.
  for (const directory of [...directories.keys()].toSorted(compareBytes).toReversed()) {
    const content = encodeTree(directories.get(directory) ?? [], idBytes)
    const id = objectId(repository, 'tree', content)
    built.set(id, content)
    ids.set(directory, id)
    if (directory !== '') addToParent(directory, id)
  }
  return { root: ids.get('') ?? '', ids, built }
}

/** What lies in the affected directories themselves. */
function* entriesToBuild(
  entries: CapturedEntries,
  { paths }: KnownTrees,
  affected: ReadonlySet<BytePath>,
): Iterable<readonly [BytePath, CapturedEntry]> {
  if (paths === null) {
    for (const each of entries) if (affected.has(parentOf(each[0]))) yield each
    return
  }
  for (const directory of affected) {
    for (const path of pathsIn(paths, directory)) {
      const entry = entries.get(path)
      if (entry !== undefined) yield [path, entry]
    }
  }
}

function ancestorsOf(paths: Iterable<BytePath>): Set<BytePath> {
  const found = new Set<BytePath>([''])
  for (const path of paths) {
    for (let parent = parentOf(path); !found.has(parent); parent = parentOf(parent)) found.add(parent)
  }
  return found
}

function encodeTree(children: Child[], idBytes: number): Buffer {
  const isBefore = (child: Child, row: number) =>
    row === 0 || (children[row - 1]?.sortKey ?? '') <= child.sortKey
  const sorted = children.every(isBefore)
    ? children
    : children.toSorted((a, b) => compareBytes(a.sortKey, b.sortKey))
  const content = Buffer.allocUnsafe(sorted.reduce((total, { head }) => total + head.length + idBytes, 0))
  let position = 0
  for (const { head, id } of sorted) {
    position += content.write(head, position, 'latin1')
    position += content.write(id, position, 'hex')
  }
  return content
}
