/** Node fires a timer that is longer than this after one millisecond. */
const LONGEST_MS = 2 ** 31 - 1

/**
 * `setTimeout` for any time; one without end never calls back.
 * @returns what cancels it
 */
export function setLongTimer(callback: () => void, milliseconds: number): () => void {
  let timer: NodeJS.Timeout
  const wait = (leftMs: number): void => {
    timer =
      leftMs > LONGEST_MS
        ? setTimeout(() => wait(leftMs - LONGEST_MS), LONGEST_MS)
        : setTimeout(callback, leftMs)
  }
  wait(milliseconds)
  return () => clearTimeout(timer)
}
