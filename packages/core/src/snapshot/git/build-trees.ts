import { compareBytes, parentOf, type BytePath } from './byte-path.ts'
import { objectId, type PrivateRepository } from './private-repository.ts'

const TYPE_MASK = 0o170000
const LINK_TYPE = 0o120000

export function isLink(mode: number): boolean {
  return (mode & TYPE_MASK) === LINK_TYPE
}

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

/** The git tree of all entries, and every tree object below it by id. */
export function buildTrees(
  repository: PrivateRepository,
  entries: ReadonlyMap<BytePath, { readonly mode: number; readonly id: string }>,
): { readonly root: string; readonly trees: Map<string, Buffer> } {
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
  for (const [path, entry] of entries) {
    const directory = parentOf(path)
    const name = path.slice(directory === '' ? 0 : directory.length + 1)
    childrenOf(directory).push({ sortKey: name, head: `${treeMode(entry.mode)} ${name}\0`, id: entry.id })
  }
  const trees = new Map<string, Buffer>()
  let root = ''
  // A directory's path sorts before the paths below it, so that in reverse order the inner trees come first.
  for (const directory of [...directories.keys()].toSorted(compareBytes).toReversed()) {
    const content = encodeTree(directories.get(directory) ?? [])
    const id = objectId(repository, 'tree', content)
    trees.set(id, content)
    if (directory === '') root = id
    else {
      const parent = parentOf(directory)
      const name = directory.slice(parent === '' ? 0 : parent.length + 1)
      directories.get(parent)?.push({ sortKey: `${name}/`, head: `40000 ${name}\0`, id })
    }
  }
  return { root, trees }
}

function encodeTree(children: Child[]): Buffer {
  const parts: Buffer[] = []
  for (const child of children.toSorted((a, b) => compareBytes(a.sortKey, b.sortKey))) {
    parts.push(Buffer.from(child.head, 'latin1'), Buffer.from(child.id, 'hex'))
  }
  return Buffer.concat(parts)
}
