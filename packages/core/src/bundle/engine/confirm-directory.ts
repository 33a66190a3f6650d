import { lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import { isPlainPath, toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { isWorkDirectoryName } from '../../filesystem/work-directory.ts'
import type { DirectoryEntry } from '../format/tree-node.ts'
import type { CompareContext } from './compare-state.ts'
import { isUntouched } from './known-stats.ts'
import type { KnownDirectory } from './known-tree.ts'
import { childOf, type TreeDirectory } from './tree-reader.ts'
import { MAX_PATH_BYTES } from './walk-directory.ts'

/**
 * Whether a directory holds the names that are known and no others, its files and links untouched. By path, which takes
 * half the time of a walk by open directories, but could be led astray by somebody who swaps a directory on the way for
 * a link: all that it can do is to confirm what is known already.
 * @returns its directories, which may have changed; `null` when something differs
 */
export async function confirmDirectory(
  { target, left, slice }: Pick<CompareContext, 'target' | 'left' | 'slice'>,
  directory: TreeDirectory,
  known: KnownDirectory,
): Promise<readonly { readonly entry: DirectoryEntry; readonly stats: BigIntStats }[] | null> {
  if (target.length + directory.path.length > MAX_PATH_BYTES) return null
  const base = directory.path === '' ? target : `${target}/${directory.path}`
  const isPlain = isPlainPath(base)
  const names = listNames(base, directory.path === '')
  if (names?.length !== known.entries.length) return null
  const children: { entry: DirectoryEntry; stats: BigIntStats }[] = []
  for (let index = 0; index < names.length; index += 1) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const entry = known.entries[index]
    const name = names[index] ?? ''
    const file = `${base}/${name}`
    const stats = entry?.name === name ? lookAt(isPlain && isPlainPath(name) ? file : toFilePath(file)) : null
    if (stats === null || left.reasonFor(childOf(directory, name), stats) !== null) return null
    if (entry?.type === 'directory') {
      if (!stats.isDirectory()) return null
      children.push({ entry, stats })
      // One that has several names has to be where all of them are.
    } else if (stats.nlink > 1n || !isUntouched(known, index, stats)) return null
  }
  return children
}

function listNames(path: ByteString, isRoot: boolean): ByteString[] | null {
  try {
    const names = readdirSync(toFilePath(path), { encoding: 'latin1' })
    return (isRoot ? names.filter((name) => !isWorkDirectoryName(name)) : names).sort()
  } catch {
    return null
  }
}

function lookAt(path: string | Buffer): BigIntStats | null {
  try {
    return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null
  } catch {
    return null
  }
}
