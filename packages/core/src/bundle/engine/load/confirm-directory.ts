import { lstatSync, readdirSync, type BigIntStats } from 'node:fs'
import {
  isPlainPath,
  MAX_PATH_BYTES,
  toFilePath,
  type ByteString,
} from '../../../filesystem/directory-handle.ts'
import { isWorkDirectoryName } from '../../../filesystem/work-name.ts'
import type { DirectoryEntry } from '../../format/tree-node.ts'
import type { CompareContext } from './compare-state.ts'
import { hasKnownStats, isUntouched } from '../known/known-stats.ts'
import type { KnownDirectory } from '../known/known-tree.ts'
import { childOf, type TreeDirectory } from '../read/tree-reader.ts'

/** One that is there, and what it was before it is listed. */
export interface ConfirmedChild {
  readonly entry: DirectoryEntry
  readonly stats: BigIntStats
  /** It is the very directory that is known, unchanged since then: so are its names, its mode and its time. */
  readonly isAsKnown: boolean
}

/** So many entries are looked at without a pause. */
const AT_ONCE = 256

/**
 * Whether a directory holds the names that are known and no others, its files and links untouched. By path, which takes
 * half the time of a walk by open directories, but could be led astray by somebody who swaps a directory on the way for
 * a link: all that it can do is to confirm what is known already.
 * @param isAsListed it has not changed since it held the names that are known, and is not listed
 * @returns its directories, which may have changed; `null` when something differs. A promise only for one that takes long:
 * waiting for each of thousands of directories takes as long as looking at them
 */
export function confirmDirectory(
  context: Pick<CompareContext, 'target' | 'left' | 'slice'>,
  directory: TreeDirectory,
  known: KnownDirectory,
  isAsListed: boolean,
): readonly ConfirmedChild[] | null | Promise<readonly ConfirmedChild[] | null> {
  const { target } = context
  if (target.length + directory.path.length > MAX_PATH_BYTES) return null
  const base = directory.path === '' ? target : `${target}/${directory.path}`
  if (!isAsListed && !holdsNames(base, directory.path === '', known)) return null
  const confirming = { context, directory, known, base, isPlain: isPlainPath(base), children: [] }
  if (known.entries.length > AT_ONCE) return confirmInParts(confirming)
  return confirmEntries(confirming, 0, known.entries.length) ? confirming.children : null
}

interface Confirming {
  readonly context: Pick<CompareContext, 'left' | 'slice'>
  readonly directory: TreeDirectory
  readonly known: KnownDirectory
  readonly base: ByteString
  readonly isPlain: boolean
  readonly children: ConfirmedChild[]
}

async function confirmInParts(confirming: Confirming): Promise<readonly ConfirmedChild[] | null> {
  const { context, known, children } = confirming
  for (let from = 0; from < known.entries.length; from += AT_ONCE) {
    await context.slice.pauseWhenDue()
    if (!confirmEntries(confirming, from, Math.min(from + AT_ONCE, known.entries.length))) return null
  }
  return children
}

function confirmEntries(confirming: Confirming, from: number, to: number): boolean {
  const { context, directory, known, base, isPlain, children } = confirming
  for (let index = from; index < to; index += 1) {
    const entry = known.entries[index]
    if (entry === undefined) return false
    const file = `${base}/${entry.name}`
    const stats = lookAt(isPlain && isPlainPath(entry.name) ? file : toFilePath(file))
    if (stats === null || context.left.reasonFor(childOf(directory, entry.name), stats) !== null) return false
    if (entry.type === 'directory') {
      if (!stats.isDirectory()) return false
      children.push({ entry, stats, isAsKnown: hasKnownStats(known, index, stats) })
      // One that has several names has to be where all of them are.
    } else if (stats.nlink > 1n || !isUntouched(known, index, stats)) return false
  }
  return true
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
