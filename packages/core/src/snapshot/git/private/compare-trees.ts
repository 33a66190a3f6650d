import { joinPath, type BytePath } from '../../byte-path.ts'
import type { ObjectReader } from './read-object.ts'

/** One side of a path that differs, as `git diff-tree --raw` says it: type bits of git's own in six digits, and an id. */
export interface TreeSide {
  readonly mode: string
  readonly id: string
}

export interface TreeChange {
  readonly before: TreeSide | null
  readonly after: TreeSide | null
}

export const DIRECTORY = '040000'
const NOTHING = Buffer.alloc(0)

/** A process of git reads more of them in less time. */
const MAX_TREES = 256

/**
 * Every path that differs between two trees, directories included: what `git diff-tree -r -t` prints, in no order.
 * @returns `null` when much differs, or a tree cannot be read here
 */
export function compareTrees(read: ObjectReader, from: string, to: string): Map<BytePath, TreeChange> | null {
  const changes = new Map<BytePath, TreeChange>()
  const waiting: { path: BytePath; before: TreeSide | null; after: TreeSide | null }[] = [
    { path: '', before: { mode: DIRECTORY, id: from }, after: { mode: DIRECTORY, id: to } },
  ]
  let trees = 0
  const contentOf = (side: TreeSide | null): Buffer | null => {
    if (side?.mode !== DIRECTORY) return NOTHING
    trees += 1
    const object = trees > MAX_TREES ? null : read(side.id)
    return object?.type === 'tree' ? object.content : null
  }
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const contents = [contentOf(place.before), contentOf(place.after)] as const
    if (contents[0] === null || contents[1] === null) return null
    const [before, after] = unlikeEntries(contents[0], contents[1], from.length / 2)
    for (const name of new Set([...before.keys(), ...after.keys()])) {
      const change = { before: before.get(name) ?? null, after: after.get(name) ?? null }
      if (change.before?.id === change.after?.id && change.before?.mode === change.after?.mode) continue
      const path = joinPath(place.path, name)
      changes.set(path, change)
      if (change.before?.mode === DIRECTORY || change.after?.mode === DIRECTORY)
        waiting.push({ path, ...change })
    }
  }
  return changes
}

/** Which paths of files and links only one of the two trees has. */
export interface ComparedNames {
  readonly added: readonly BytePath[]
  readonly removed: ReadonlySet<BytePath>
}

export function namesThatDiffer(changes: ReadonlyMap<BytePath, TreeChange>): ComparedNames {
  const isFile = (side: TreeSide | null): boolean => side !== null && side.mode !== DIRECTORY
  const [added, removed]: [BytePath[], Set<BytePath>] = [[], new Set()]
  for (const [path, { before, after }] of changes) {
    if (isFile(after) && !isFile(before)) added.push(path)
    if (isFile(before) && !isFile(after)) removed.add(path)
  }
  return { added, removed }
}

type Entries = Map<BytePath, TreeSide>

/**
 * The entries of two trees but for those that stand in both, which are passed over as bytes: of hundreds mostly a few
 * differ. Both are in one order; where one is not, more is left.
 * @throws `RangeError` for what is no tree
 */
function unlikeEntries(before: Buffer, after: Buffer, idBytes: number): [Entries, Entries] {
  const found: [Entries, Entries] = [new Map(), new Map()]
  let [left, right] = [0, 0]
  while (left < before.length || right < after.length) {
    const leftEnd = endOfEntry(before, left, idBytes)
    const rightEnd = endOfEntry(after, right, idBytes)
    if (leftEnd - left === rightEnd - right && isSame(before, left, after, right, leftEnd - left)) {
      left = leftEnd
      right = rightEnd
      continue
    }
    const [old, now] = [
      parseEntry(before, left, leftEnd, idBytes),
      parseEntry(after, right, rightEnd, idBytes),
    ]
    const isFirst = (one: Entry | null, other: Entry | null) =>
      one !== null && (other === null || one.sortKey <= other.sortKey)
    const [takesOld, takesNow] = [isFirst(old, now), isFirst(now, old)]
    if (old !== null && takesOld) found[0].set(old.name, old.side)
    if (now !== null && takesNow) found[1].set(now.name, now.side)
    if (takesOld) left = leftEnd
    if (takesNow) right = rightEnd
  }
  return found
}

interface Entry {
  readonly name: BytePath
  /** A directory sorts as if its name ended in a slash. */
  readonly sortKey: BytePath
  readonly side: TreeSide
}

/** For each entry its mode in octal, its name, a zero byte and its id. */
function endOfEntry(content: Buffer, start: number, idBytes: number): number {
  if (start >= content.length) return start
  const end = content.indexOf(0, start) + 1 + idBytes
  if (end <= start + idBytes || end > content.length) throw new RangeError('no tree')
  return end
}

function parseEntry(content: Buffer, start: number, end: number, idBytes: number): Entry | null {
  if (start === end) return null
  const nameEnd = end - idBytes - 1
  const space = content.indexOf(32, start)
  if (space === -1 || space > nameEnd) throw new RangeError('no tree')
  const mode = content.toString('latin1', start, space).padStart(6, '0')
  const name = content.toString('latin1', space + 1, nameEnd)
  const id = content.toString('hex', nameEnd + 1, end)
  return { name, sortKey: mode === DIRECTORY ? `${name}/` : name, side: { mode, id } }
}

function isSame(left: Buffer, from: number, right: Buffer, start: number, length: number): boolean {
  for (let at = 0; at < length; at += 1) if (left[from + at] !== right[start + at]) return false
  return true
}
