import { lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import { isPlainPath, toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { isWorkDirectoryName } from '../../filesystem/work-directory.ts'
import type { DirectoryEntry } from '../format/tree-node.ts'
import type { CompareContext } from './compare-state.ts'
import { isUntouched } from './known-stats.ts'
import type { KnownDirectory } from './known-tree.ts'
import { childOf, type TreeDirectory } from './tree-reader.ts'
import { MAX_PATH_BYTES } from './walk-directory.ts'

/** One that is there, and what it was before it is listed. */
export interface ConfirmedChild {
  readonly entry: DirectoryEntry
  readonly stats: BigIntStats
}

/**
 * Whether a directory holds the names that are known and no others, its files and links untouched. By path, which takes
 * half the time of a walk by open directories, but could be led astray by somebody who swaps a directory on the way for
 * a link: all that it can do is to confirm what is known already.
 * @param isAsListed it has not changed since it held the names that are known, and is not listed
 * @returns its directories, which may have changed; `null` when something differs
 */
export async function confirmDirectory(
  { target, left, slice }: Pick<CompareContext, 'target' | 'left' | 'slice'>,
  directory: TreeDirectory,
  known: KnownDirectory,
  isAsListed: boolean,
): Promise<readonly ConfirmedChild[] | null> {
  if (target.length + directory.path.length > MAX_PATH_BYTES) return null
  const base = directory.path === '' ? target : `${target}/${directory.path}`
  if (!isAsListed && !holdsNames(base, directory.path === '', known)) return null
  const isPlain = isPlainPath(base)
  const children: ConfirmedChild[] = []
  for (const [index, entry] of known.entries.entries()) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const { name } = entry
    const file = `${base}/${name}`
    const stats = lookAt(isPlain && isPlainPath(name) ? file : toFilePath(file))
    if (stats === null || left.reasonFor(childOf(directory, name), stats) !== null) return null
    if (entry.type === 'directory') {
      if (!stats.isDirectory()) return null
      children.push({ entry, stats })
      // One that has several names has to be where all of them are.
    } else if (stats.nlink > 1n || !isUntouched(known, index, stats)) return null
  }
  return children
}

function holdsNames(path: ByteString, isRoot: boolean, { entries }: KnownDirectory): boolean {
  try {
    const all = readdirSync(toFilePath(path), { encoding: 'latin1' })
    const names = isRoot ? all.filter((name) => !isWorkDirectoryName(name)) : all
    return (
      names.length === entries.length && names.sort().every((name, index) => entries[index]?.name === name)
    )
  } catch {
    return false
  }
}

function lookAt(path: string | Buffer): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch {
    return null
  }
}
