import type { FilledLimits } from '../../capture-policy.ts'
import type { BytePath } from '../../byte-path.ts'

export interface FileToRead {
  readonly path: BytePath
  readonly size: number
  /** Whether an earlier capture holds it: then it stays in view before anything new comes into it. */
  readonly isKnown: boolean
  /**
   * Whether there is nothing new to store: it is gone, or looks as it did then and is read again only because that was a
   * moment after it was written.
   */
  readonly isFree: boolean
}

export type LimitReason = 'too-large' | 'over-total'

/**
 * Decides which files a capture does not read. What was over the total stays left out: otherwise a workspace that nobody
 * touches would look different in each capture, as one file after the other found room.
 * @param leftOut what the last capture left out because of the total
 */
export function chooseOverLimits(
  files: readonly FileToRead[],
  limits: FilledLimits,
  leftOut: ReadonlySet<BytePath>,
): Map<BytePath, LimitReason> {
  const over = new Map<BytePath, LimitReason>()
  const wanted = files.filter(({ path, size, isKnown, isFree }) => {
    if (isFree) return false
    const reason =
      isKnown || size <= limits.maxFileBytes ? (leftOut.has(path) ? 'over-total' : null) : 'too-large'
    if (reason !== null) over.set(path, reason)
    return reason === null
  })
  const total = wanted.reduce((sum, { size }) => sum + size, 0)
  if (total <= limits.maxDeltaBytes && wanted.length <= limits.maxFiles) return over
  let bytes = 0
  let count = 0
  const order = (file: FileToRead) => (file.isKnown ? 0 : 1)
  for (const file of wanted.toSorted((a, b) => order(a) - order(b) || a.size - b.size)) {
    bytes += file.size
    count += 1
    if (bytes > limits.maxDeltaBytes || count > limits.maxFiles) over.set(file.path, 'over-total')
  }
  return over
}
