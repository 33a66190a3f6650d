/** What the file systems in use can hold; a time beyond it is cut to it. */
export const EARLIEST_SECONDS = -62_135_596_800
export const LATEST_SECONDS = 253_402_300_799

/** libuv before 1.52 cuts times to microseconds towards zero, later ones to nanoseconds downwards. */
const cutsTowardsZero = /^1\.([0-9]|[1-4][0-9]|5[01])\./.test(process.versions.uv ?? '')

/**
 * A time as Node's `utimes` functions take it, exact to the microsecond: half of one is added to land on the right side
 * of what is cut off. A negative number means "now" to them, but not as text.
 */
export function fileTime(seconds: number, nanoseconds: number): number | string {
  const clamped = Math.min(Math.max(seconds, EARLIEST_SECONDS), LATEST_SECONDS)
  const microseconds = clamped === seconds ? Math.floor(nanoseconds / 1000) : 0
  const half = clamped < 0 && cutsTowardsZero ? -0.5 : 0.5
  const time = clamped + (microseconds + half) / 1e6
  return time < 0 ? String(time) : time
}

/** Whether two times of files are the same as far as they can be set. */
export function isSameFileTime(leftNs: bigint, rightNs: bigint): boolean {
  return leftNs === rightNs || floorToMicroseconds(leftNs) === floorToMicroseconds(rightNs)
}

function floorToMicroseconds(timeNs: bigint): bigint {
  return timeNs >= 0n ? timeNs / 1000n : -((999n - timeNs) / 1000n)
}
