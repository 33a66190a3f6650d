import type { TreeEntry } from '../../bundle/format/tree-node.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { compareBytes } from '../byte-path.ts'
import { placeOf, rootPlace, type NodePlace, type StoredState } from './stored-state.ts'

/** One path that differs in type, permissions or content; also a directory that became empty, or is no longer. */
export interface Delta {
  readonly path: ByteString
  readonly before: TreeEntry | null
  readonly after: TreeEntry | null
  /** Both are files, or both links, of the same content. */
  readonly hasSameContent: boolean
}

/** Every path that differs, sorted by bytes. Reads only directories whose nodes differ. */
export async function compareStates(
  before: StoredState,
  after: StoredState,
  signal?: AbortSignal,
): Promise<Delta[]> {
  const deltas: Delta[] = []
  const pending: { left: NodePlace | null; right: NodePlace | null }[] = []
  const isAltered = (path: ByteString): boolean => before.isAltered(path) || after.isAltered(path)
  const visit = async (parent: NodePlace, left: TreeEntry | null, right: TreeEntry | null): Promise<void> => {
    const name = left?.name ?? right?.name ?? ''
    const path = parent.path === '' ? name : `${parent.path}/${name}`
    const delta = await compareEntries(path, before, left, after, right)
    if (delta !== null) deltas.push(delta)
    const leftPlace = left?.type === 'directory' ? placeOf(parent, left, path) : null
    const rightPlace = right?.type === 'directory' ? placeOf(parent, right, path) : null
    if (leftPlace?.node !== rightPlace?.node || isAltered(path))
      pending.push({ left: leftPlace, right: rightPlace })
  }
  pending.push({ left: rootPlace(before), right: rootPlace(after) })
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    signal?.throwIfAborted()
    const parent = next.left ?? next.right
    if (parent === null || (next.left?.node === next.right?.node && !isAltered(parent.path))) continue
    const old = next.left === null ? none() : before.tree.entries(next.left)
    const fresh = next.right === null ? none() : after.tree.entries(next.right)
    let left = await old.next()
    let right = await fresh.next()
    while (left.done !== true || right.done !== true) {
      const leftEntry = left.done === true ? null : left.value
      const rightEntry = right.done === true ? null : right.value
      const order = compareNames(leftEntry, rightEntry)
      await visit(parent, order <= 0 ? leftEntry : null, order >= 0 ? rightEntry : null)
      if (order <= 0) left = await old.next()
      if (order >= 0) right = await fresh.next()
    }
  }
  return deltas.sort((left, right) => compareBytes(left.path, right.path))
}

async function compareEntries(
  path: ByteString,
  before: StoredState,
  left: TreeEntry | null,
  after: StoredState,
  right: TreeEntry | null,
): Promise<Delta | null> {
  if (left === null || right === null || left.type !== right.type)
    return { path, before: left, after: right, hasSameContent: false }
  const hasSameContent = await isSameContent(path, before, left, after, right)
  const hasSameMode = left.type === 'symlink' || left.mode === right.mode
  const isSame = hasSameContent && hasSameMode && isEmptyDirectory(left) === isEmptyDirectory(right)
  return isSame ? null : { path, before: left, after: right, hasSameContent }
}

export function isEmptyDirectory(entry: TreeEntry | null): boolean {
  return entry?.type === 'directory' && entry.entriesBelow === 0
}

/** Equal content may be cut differently, when it came about differently. */
async function isSameContent(
  path: ByteString,
  before: StoredState,
  left: TreeEntry,
  after: StoredState,
  right: TreeEntry,
): Promise<boolean> {
  if (left.type === 'directory') return true
  if (left.type === 'symlink') return right.type === 'symlink' && left.target === right.target
  if (right.type !== 'file' || left.size !== right.size) return false
  const isCutAlike =
    left.runs.length === right.runs.length &&
    left.runs.every((run, index) => {
      const other = right.runs[index]
      return run.kind === other?.kind && run.id === other.id && run.length === other.length
    })
  return isCutAlike || (await before.hashOf(path, left)) === (await after.hashOf(path, right))
}

function compareNames(left: TreeEntry | null, right: TreeEntry | null): number {
  if (left === null || right === null) return left === null ? 1 : -1
  return compareBytes(left.name, right.name)
}

async function* none(): AsyncGenerator<TreeEntry, void, void> {
  // A side that has no such directory.
}
