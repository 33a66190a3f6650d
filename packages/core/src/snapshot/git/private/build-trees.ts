import { compareBytes, nameOf, parentOf, type BytePath } from '../../byte-path.ts'
import type { EntryTable } from '../table/entry-table.ts'
import { isLink } from '../table/file-stamp.ts'
import { FIELDS } from '../table/shared-columns.ts'
import { visitPlaces } from '../table/sorted-paths.ts'
import { objectId, type PrivateRepository } from './private-repository.ts'
import { idBytesOf } from './object-format.ts'

/** The three kinds that a git tree knows. */
export function treeMode(mode: number): '100644' | '100755' | '120000' {
  if (isLink(mode)) return '120000'
  return (mode & 0o100) === 0 ? '100644' : '100755'
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
}

/** The git trees of all entries. Only the directories above what differs from the known ones are built, and looked at. */
export function buildTrees(
  repository: PrivateRepository,
  entries: EntryTable,
  known: KnownTrees,
): BuiltTrees {
  const affected = ancestorsOf(known.changed)
  const ids = new Map(known.ids)
  for (const directory of affected) ids.delete(directory)
  const built = new Map<string, Buffer>()
  const idBytes = idBytesOf(repository.format)
  // A directory's path sorts before the paths below it, so that in reverse order the inner trees come first.
  for (const directory of [...affected].toSorted(compareBytes).toReversed()) {
    const content = encodeTree(directory, entries, ids, idBytes)
    if (content.length === 0 && directory !== '') continue
    const id = objectId(repository, 'tree', content)
    built.set(id, content)
    ids.set(directory, id)
  }
  return { root: ids.get('') ?? '', ids, built }
}

function ancestorsOf(paths: Iterable<BytePath>): Set<BytePath> {
  const found = new Set<BytePath>([''])
  for (const path of paths) {
    for (let parent = parentOf(path); !found.has(parent); parent = parentOf(parent)) found.add(parent)
  }
  return found
}

interface Child {
  /** Mode, name and a zero byte. */
  readonly head: string
  /** In hex; of an entry its row. */
  readonly id: string | number
}

/** In the order of a tree, which is that of all paths: a directory sorts as if its name ended in a slash. */
function encodeTree(
  directory: BytePath,
  entries: EntryTable,
  trees: ReadonlyMap<BytePath, string>,
  idBytes: number,
): Buffer {
  const { numbers, ids } = entries.columns()
  const children: Child[] = []
  let length = 0
  const add = (head: string, id: Child['id']): void => {
    children.push({ head, id })
    length += head.length + idBytes
  }
  visitPlaces(entries.paths(), directory, {
    file: (path, row) => add(`${treeMode(numbers[row * FIELDS] ?? 0)} ${nameOf(path)}\0`, row),
    directory: (path) => add(`40000 ${nameOf(path)}\0`, trees.get(path) ?? ''),
  })
  const content = Buffer.alloc(length)
  let to = 0
  for (const { head, id } of children) {
    to += content.write(head, to, 'latin1')
    if (typeof id === 'string') content.write(id, to, 'hex')
    else content.set(ids.subarray(id * idBytes, (id + 1) * idBytes), to)
    to += idBytes
  }
  return content
}
