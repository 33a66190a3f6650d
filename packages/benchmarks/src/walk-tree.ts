import { lstatSync, readdirSync, type Stats } from 'node:fs'

/**
 * Every name and every stat, by the fastest calls that Node has: the least that finding out about a change costs.
 * Returns how many entries there are.
 */
export function walkTree(directory: string, onFile?: (path: string, stats: Stats) => void): number {
  let count = 0
  for (const entry of readdirSync(directory, { withFileTypes: true })) {
    const path = `${directory}/${entry.name}`
    const stats = lstatSync(path)
    count += 1
    if (entry.isDirectory()) count += walkTree(path, onFile)
    else if (entry.isFile()) onFile?.(path, stats)
  }
  return count
}

/** Megabytes of all files, by their lengths. */
export function megabytesIn(directory: string): number {
  let bytes = 0
  walkTree(directory, (_, { size }) => (bytes += size))
  return bytes / 1e6
}
