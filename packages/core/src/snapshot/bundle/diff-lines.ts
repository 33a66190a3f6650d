/** Lines of a text, each with its newline. */
export interface Lines {
  readonly bytes: Buffer
  /** Where each line ends. */
  readonly ends: readonly number[]
}

export interface LineDiff {
  readonly before: Lines
  readonly after: Lines
  /** One for each line of `before`; 1: it goes. */
  readonly removed: Uint8Array
  /** One for each line of `after`; 1: it is new. */
  readonly added: Uint8Array
}

/** The most steps spent on one pair of texts; what is left then counts as replaced. */
const MAX_STEPS = 8_000_000
/** A part with more differences is cut at the point reached so far instead of at the best one. */
const MAX_DIFFERENCES = 1_000

/**
 * Which lines differ: the linear-space form of Myers, "An O(ND) Difference Algorithm and Its Variations" (1986), on the lines
 * that occur in both texts. Least for all but very different texts, and correct always.
 */
export function diffLines(before: Buffer, after: Buffer): LineDiff {
  const diff = {
    before: splitLines(before),
    after: splitLines(after),
    removed: new Uint8Array(0),
    added: new Uint8Array(0),
  }
  const ids = new Map<string, number>()
  const left = identify(diff.before, ids)
  const right = identify(diff.after, ids)
  diff.removed = new Uint8Array(left.length)
  diff.added = new Uint8Array(right.length)
  const [start, leftEnd, rightEnd] = trim(left, 0, left.length, right, 0, right.length)
  const leftKept = keepShared(left, start, leftEnd, right, start, rightEnd, ids.size, diff.removed)
  const rightKept = keepShared(right, start, rightEnd, left, start, leftEnd, ids.size, diff.added)
  compare(
    leftKept.map((index) => left[index] ?? 0),
    rightKept.map((index) => right[index] ?? 0),
    (index) => (diff.removed[leftKept[index] ?? 0] = 1),
    (index) => (diff.added[rightKept[index] ?? 0] = 1),
  )
  return diff
}

export function splitLines(bytes: Buffer): Lines {
  const ends: number[] = []
  for (let at = 0; at < bytes.length;) {
    const newline = bytes.indexOf(10, at)
    at = newline === -1 ? bytes.length : newline + 1
    ends.push(at)
  }
  return { bytes, ends }
}

function identify({ bytes, ends }: Lines, ids: Map<string, number>): Int32Array {
  const found = new Int32Array(ends.length)
  let start = 0
  for (let index = 0; index < ends.length; index += 1) {
    const end = ends[index] ?? start
    const line = bytes.toString('latin1', start, end)
    let id = ids.get(line)
    if (id === undefined) ids.set(line, (id = ids.size))
    found[index] = id
    start = end
  }
  return found
}

/** Leaves equal lines at both ends out. */
function trim(
  left: Int32Array,
  leftStart: number,
  leftEnd: number,
  right: Int32Array,
  rightStart: number,
  rightEnd: number,
): [number, number, number] {
  let skipped = 0
  while (
    leftStart + skipped < leftEnd &&
    rightStart + skipped < rightEnd &&
    left[leftStart + skipped] === right[rightStart + skipped]
  )
    skipped += 1
  let [newLeftEnd, newRightEnd] = [leftEnd, rightEnd]
  while (
    newLeftEnd > leftStart + skipped &&
    newRightEnd > rightStart + skipped &&
    left[newLeftEnd - 1] === right[newRightEnd - 1]
  ) {
    newLeftEnd -= 1
    newRightEnd -= 1
  }
  return [leftStart + skipped, newLeftEnd, newRightEnd]
}

/** The places of lines that the other side has too; the others are marked. */
function keepShared(
  own: Int32Array,
  ownStart: number,
  ownEnd: number,
  other: Int32Array,
  otherStart: number,
  otherEnd: number,
  idCount: number,
  marks: Uint8Array,
): Int32Array {
  const isInOther = new Uint8Array(idCount)
  for (let index = otherStart; index < otherEnd; index += 1) isInOther[other[index] ?? 0] = 1
  const kept: number[] = []
  for (let index = ownStart; index < ownEnd; index += 1) {
    if (isInOther[own[index] ?? 0] === 1) kept.push(index)
    else marks[index] = 1
  }
  return Int32Array.from(kept)
}

function compare(
  left: Int32Array,
  right: Int32Array,
  markLeft: (index: number) => void,
  markRight: (index: number) => void,
): void {
  const budget = { steps: MAX_STEPS }
  const pending: [number, number, number, number][] = [[0, left.length, 0, right.length]]
  for (let part = pending.pop(); part !== undefined; part = pending.pop()) {
    const [leftFrom, leftTo, rightFrom, rightTo] = part
    const [leftStart, leftEnd, rightEnd] = trim(left, leftFrom, leftTo, right, rightFrom, rightTo)
    const rightStart = rightFrom + leftStart - leftFrom
    const isOneSided = leftStart === leftEnd || rightStart === rightEnd
    const middle = isOneSided
      ? null
      : findMiddle(left.subarray(leftStart, leftEnd), right.subarray(rightStart, rightEnd), budget)
    if (middle === null) {
      for (let index = leftStart; index < leftEnd; index += 1) markLeft(index)
      for (let index = rightStart; index < rightEnd; index += 1) markRight(index)
    } else {
      const [x, y] = [leftStart + middle[0], rightStart + middle[1]]
      pending.push([leftStart, x, rightStart, y], [x, leftEnd, y, rightEnd])
    }
  }
}

type Point = readonly [x: number, y: number]

/** What is searched from one end: the furthest place reached on each diagonal (`x` less `y`), -1 for none. */
interface Front {
  readonly reached: Int32Array
  readonly isEqual: (x: number, y: number) => boolean
}

/**
 * A point on a shortest way from the start of both to the end of both, found from both ends at once; one on a good way
 * when the difference is large; `null` when there is none (nothing equal) or no budget.
 */
function findMiddle(left: Int32Array, right: Int32Array, budget: { steps: number }): Point | null {
  const [n, m] = [left.length, right.length]
  const most = Math.min(Math.ceil((n + m) / 2), MAX_DIFFERENCES)
  const forward = openFront(most, (x, y) => left[x] === right[y])
  const backward = openFront(most, (x, y) => left[n - 1 - x] === right[m - 1 - y])
  const isOdd = ((n - m) & 1) !== 0
  for (let d = 0; d <= most; d += 1) {
    const met = advance(forward, backward, d, isOdd ? d - 1 : -1, [n, m], budget)
    if (met !== null) return inside(met, n, m)
    const metBack = advance(backward, forward, d, isOdd ? -1 : d, [n, m], budget)
    if (metBack !== null) return inside([n - metBack[0], m - metBack[1]], n, m)
    if (budget.steps < 0) return null
  }
  return inside(furthestPoint(forward), n, m)
}

function openFront(most: number, isEqual: Front['isEqual']): Front {
  const reached = new Int32Array(2 * most + 3).fill(-1)
  reached[most + 2] = 0
  return { reached, isEqual }
}

/**
 * Takes one difference more into account.
 * @param looked how far from its middle the other front is worth looking at; -1: not at all
 * @returns where it meets the way from the other end
 */
function advance(
  own: Front,
  other: Front,
  d: number,
  looked: number,
  [n, m]: readonly [number, number],
  budget: { steps: number },
): Point | null {
  const { reached, isEqual } = own
  const offset = (reached.length - 1) / 2
  for (let k = -d; k <= d; k += 2) {
    const start = furthest(reached, offset + k)
    let x = start
    if (x >= 0) while (x < n && x - k < m && isEqual(x, x - k)) x += 1
    budget.steps -= 1 + x - start
    if (x > n || x - k > m) x = -1
    reached[offset + k] = x
    const mirrored = n - m - k
    const met = x >= 0 && Math.abs(mirrored) <= looked ? (other.reached[offset + mirrored] ?? -1) : -1
    if (met >= 0 && x + met >= n) return [x, x - k]
  }
  return null
}

/** The best of a step down from one diagonal and a step across from the other; -1: neither is possible. */
function furthest(reached: Int32Array, index: number): number {
  const down = reached[index + 1] ?? -1
  const across = reached[index - 1] ?? -1
  return across < 0 ? down : Math.max(down, across + 1)
}

function furthestPoint({ reached }: Front): Point {
  const offset = (reached.length - 1) / 2
  let best: Point = [0, 0]
  reached.forEach((x, index) => {
    const y = x - (index - offset)
    if (x >= 0 && x + y > best[0] + best[1]) best = [x, y]
  })
  return best
}

/** A corner would divide nothing. */
function inside(point: Point, n: number, m: number): Point | null {
  const isStart = point[0] === 0 && point[1] === 0
  const isEnd = point[0] === n && point[1] === m
  return isStart || isEnd ? null : point
}
