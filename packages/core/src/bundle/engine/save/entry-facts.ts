import type { BigIntStats } from 'node:fs'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { isSameFileTime } from '../../../filesystem/file-time.ts'
import type { EntryFacts } from '../../format/tree-node.ts'
import type { FileStats } from '../known/file-stats.ts'

export function factsOf(
  name: ByteString,
  stats: Pick<BigIntStats | FileStats, 'mode' | 'mtimeNs'>,
): EntryFacts {
  const { mtimeNs } = stats
  let seconds = mtimeNs / 1_000_000_000n
  if (mtimeNs < seconds * 1_000_000_000n) seconds -= 1n
  return {
    name,
    mode: Number(stats.mode) & 0o7777,
    mtimeSeconds: Number(seconds),
    mtimeNanoseconds: Number(mtimeNs - seconds * 1_000_000_000n),
  }
}

/** Times as far as a load can set them: to the microsecond. */
export function hasFacts(entry: EntryFacts, stats: BigIntStats): boolean {
  const mtimeNs = BigInt(entry.mtimeSeconds) * 1_000_000_000n + BigInt(entry.mtimeNanoseconds)
  return isSameFileTime(mtimeNs, stats.mtimeNs) && entry.mode === (Number(stats.mode) & 0o7777)
}
