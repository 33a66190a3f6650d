import type { ByteString } from '../../../filesystem/directory-handle.ts'

/** How much a save takes of files that the parent version does not have. */
export interface NewFileLimits {
  readonly maxFileBytes: number
  /** Of all of them together, in the order of the walk. */
  readonly maxDeltaBytes: number
  readonly maxFiles: number
  /** Left out by an earlier save for the sake of the total: they stay left out. */
  readonly leftOut: readonly ByteString[]
  /** Not limited: whoever saves has put them there. */
  readonly written: readonly ByteString[]
}

export type LimitReason = 'too-large' | 'over-total'

/** Asked for each new file, once. @returns `null` when the save is to take it */
export function createNewFileFilter(
  limits: NewFileLimits | undefined,
): (path: ByteString, bytes: number) => LimitReason | null {
  if (limits === undefined) return () => null
  const leftOut = new Set(limits.leftOut)
  const written = new Set(limits.written)
  let total = 0
  let files = 0
  return (path, bytes) => {
    if (written.has(path)) return null
    if (bytes > limits.maxFileBytes) return 'too-large'
    if (leftOut.has(path) || total + bytes > limits.maxDeltaBytes || files >= limits.maxFiles)
      return 'over-total'
    total += bytes
    files += 1
    return null
  }
}
