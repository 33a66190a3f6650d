import crypto from 'node:crypto'
import type { BytePath } from '../../byte-path.ts'
import { treeMode, type BuiltTrees } from './build-trees.ts'
import type { PrivateRepository } from './private-repository.ts'
import type { SharedPaths } from '../table/shared-columns.ts'
import { idBytesOf } from './object-format.ts'

/** What trees are made of, sorted by path. */
export interface TreeLeaves {
  readonly paths: readonly BytePath[]
  /** The same. */
  readonly names: SharedPaths
  /** In bytes, one after the other. */
  readonly ids: Uint8Array
  readonly modeAt: (row: number) => number
}

/** One directory that is being filled. */
interface OpenTree {
  readonly path: BytePath
  /** What the paths in it begin with. */
  readonly lead: BytePath
  /** Room for the header, then its entries. */
  bytes: Buffer
  length: number
}

const HEADER_ROOM = 32
const FIRST_BYTES = 4096

/**
 * The git trees of all entries, without an object for an entry. Paths are in the order of their bytes, and so are the
 * entries of a tree, in which a directory counts as if its name ended in a slash: one pass fills all trees from above.
 */
export function buildAllTrees(repository: PrivateRepository, leaves: TreeLeaves): BuiltTrees {
  const { paths, ids: leafIds, modeAt } = leaves
  const { text, ends } = leaves.names
  const idBytes = idBytesOf(repository.format)
  const ids = new Map<BytePath, string>()
  const built = new Map<string, Buffer>()
  const spare: Buffer[] = []
  const enter = (path: BytePath): OpenTree => ({
    path,
    lead: path === '' ? '' : `${path}/`,
    bytes: spare.pop() ?? Buffer.allocUnsafe(FIRST_BYTES),
    length: HEADER_ROOM,
  })
  const keep = keeper()
  const root = enter('')
  const open = [root]
  const close = ({ path, bytes, length }: OpenTree): Buffer => {
    const header = `tree ${length - HEADER_ROOM}\0`
    const from = HEADER_ROOM - header.length
    bytes.write(header, from, 'latin1')
    const id = crypto.hash(repository.format, bytes.subarray(from, length), 'buffer')
    const name = id.toString('hex')
    if (!built.has(name)) built.set(name, keep(bytes, HEADER_ROOM, length))
    ids.set(path, name)
    spare.push(bytes)
    return id
  }
  const leave = (tree: OpenTree, parent: OpenTree): void => {
    const id = close(tree)
    const head = `40000 ${tree.path.slice(parent.lead.length)}\0`
    makeRoom(parent, head.length + idBytes)
    parent.length += parent.bytes.write(head, parent.length, 'latin1')
    parent.length += id.copy(parent.bytes, parent.length)
  }
  let tree = root
  for (const [row, path] of paths.entries()) {
    while (!path.startsWith(tree.lead)) {
      open.pop()
      const parent = open.at(-1) ?? root
      leave(tree, parent)
      tree = parent
    }
    for (let end = path.indexOf('/', tree.lead.length); end !== -1; end = path.indexOf('/', end + 1)) {
      tree = enter(path.slice(0, end))
      open.push(tree)
    }
    const mode = treeMode(modeAt(row))
    const to = ends[row] ?? 0
    const from = to - path.length + tree.lead.length
    makeRoom(tree, mode.length + 2 + to - from + idBytes)
    const { bytes } = tree
    let { length } = tree
    for (let at = 0; at < mode.length; at += 1) bytes[length++] = mode.charCodeAt(at)
    bytes[length++] = SPACE
    for (let at = from; at < to; at += 1) bytes[length++] = text[at] ?? 0
    bytes[length++] = 0
    for (let at = row * idBytes, last = at + idBytes; at < last; at += 1) bytes[length++] = leafIds[at] ?? 0
    tree.length = length
  }
  for (let inner = open.pop(); inner !== undefined && inner !== root; inner = open.pop())
    leave(inner, open.at(-1) ?? root)
  return { root: close(root).toString('hex'), ids, built }
}

const SPACE = 32
const KEPT_BYTES = 1 << 18

/** Copies of parts of buffers, many in one piece of memory. */
function keeper(): (bytes: Buffer, from: number, to: number) => Buffer {
  let memory = Buffer.alloc(0)
  let next = 0
  return (bytes, from, to) => {
    const length = to - from
    if (next + length > memory.length) {
      memory = Buffer.allocUnsafeSlow(Math.max(KEPT_BYTES, length))
      next = 0
    }
    bytes.copy(memory, next, from, to)
    return memory.subarray(next, (next += length))
  }
}

function makeRoom(tree: OpenTree, count: number): void {
  if (tree.length + count <= tree.bytes.length) return
  const larger = Buffer.allocUnsafe((tree.length + count) * 2)
  tree.bytes.copy(larger, 0, 0, tree.length)
  tree.bytes = larger
}
