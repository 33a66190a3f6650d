import type { BytePath } from '../../byte-path.ts'

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

/** Goes through what lies in a directory itself, in the order of all paths: files, and directories that hold some. */
export function visitPlaces(
  paths: readonly BytePath[],
  directory: BytePath,
  visit: {
    readonly file: (path: BytePath, row: number) => void
    readonly directory: (path: BytePath) => void
  },
): void {
  const lead = directory === '' ? '' : `${directory}/`
  for (let row = firstRowFrom(paths, lead); row < paths.length;) {
    const path = paths[row] ?? ''
    if (!path.startsWith(lead)) return
    const end = path.indexOf('/', lead.length)
    if (end === -1) {
      visit.file(path, row)
      row += 1
    } else {
      const inner = path.slice(0, end)
      visit.directory(inner)
      row = firstRowFrom(paths, inner + AFTER_SLASH, row + 1)
    }
  }
}

const AFTER_SLASH = String.fromCharCode('/'.charCodeAt(0) + 1)

/**
 * The first that is not before a path.
 * @param from a row that is not beyond it; steps that grow find what is near in no time
 */
export function firstRowFrom(paths: readonly BytePath[], path: BytePath, from = 0): number {
  const isBefore = (row: number) => (paths[row] ?? '') < path
  let low = from
  let high = paths.length
  for (let step = 1; from > 0 && low + step < high; step *= 2) {
    if (isBefore(low + step)) low += step + 1
    else high = low + step
  }
  while (low < high) {
    const middle = (low + high) >>> 1
    if (isBefore(middle)) low = middle + 1
    else high = middle
  }
  return low
}
