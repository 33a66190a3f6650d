import type { BytePath } from '../byte-path.ts'

/** Names without duplicates; a map's keys are such a set too. */
export interface PathSet {
  readonly size: number
  has(path: BytePath): boolean
  keys(): Iterable<BytePath>
}

/** Where a path is among sorted ones; `null` when it is not. */
export function rowOf(paths: readonly BytePath[], path: BytePath): number | null {
  const row = firstRowFrom(paths, path)
  return paths[row] === path ? row : null
}

/** Finds them fast when they are asked for in order. */
export function rowFinder(paths: readonly BytePath[]): (path: BytePath) => number | null {
  let next = 0
  return (path) => {
    const row = paths[next] === path ? next : rowOf(paths, path)
    if (row !== null) next = row + 1
    return row
  }
}

/** A set of them that takes no time to make. */
export function sortedPathSet(paths: readonly BytePath[]): PathSet {
  const find = rowFinder(paths)
  return { size: paths.length, has: (path) => find(path) !== null, keys: () => paths }
}

/** Those that lie in a directory itself, not in one below it. */
export function* pathsIn(paths: readonly BytePath[], directory: BytePath): Generator<BytePath> {
  const lead = directory === '' ? '' : `${directory}/`
  for (let row = firstRowFrom(paths, lead); row < paths.length;) {
    const path = paths[row] ?? ''
    if (!path.startsWith(lead)) return
    const end = path.indexOf('/', lead.length)
    if (end === -1) {
      yield path
      row += 1
    } else row = firstRowFrom(paths, `${path.slice(0, end)}${AFTER_SLASH}`)
  }
}

const AFTER_SLASH = String.fromCharCode('/'.charCodeAt(0) + 1)

/** The first that is not before a path. */
function firstRowFrom(paths: readonly BytePath[], path: BytePath): number {
  let [low, high] = [0, paths.length]
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((paths[middle] ?? '') < path) low = middle + 1
    else high = middle
  }
  return low
}
