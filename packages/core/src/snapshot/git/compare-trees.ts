import { joinPath, type BytePath } from '../byte-path.ts'
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
  const listOf = (side: TreeSide | null): ReadonlyMap<BytePath, TreeSide> | null => {
    if (side?.mode !== DIRECTORY) return new Map()
    trees += 1
    const object = trees > MAX_TREES ? null : read(side.id)
    return object?.type === 'tree' ? parseTree(object.content, side.id.length / 2) : null
  }
  for (let place = waiting.pop(); place !== undefined; place = waiting.pop()) {
    const [before, after] = [listOf(place.before), listOf(place.after)]
    if (before === null || after === null) return null
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

/** For each entry its mode in octal, its name, a zero byte and its id. @throws `RangeError` for what is no tree */
function parseTree(content: Buffer, idBytes: number): Map<BytePath, TreeSide> {
  const entries = new Map<BytePath, TreeSide>()
  for (let at = 0; at < content.length;) {
    const space = content.indexOf(32, at)
    const end = content.indexOf(0, space)
    if (space === -1 || end === -1) throw new RangeError('no tree')
    const mode = content.toString('latin1', at, space).padStart(6, '0')
    const id = content.toString('hex', end + 1, end + 1 + idBytes)
    entries.set(content.toString('latin1', space + 1, end), { mode, id })
    at = end + 1 + idBytes
  }
  return entries
}
