import { diffLines, type LineDiff, type Lines } from './diff-lines.ts'

const CONTEXT = 3
const NO_NEWLINE = Buffer.from('\n\\ No newline at end of file\n')

interface Group {
  readonly before: readonly [start: number, end: number]
  readonly after: readonly [start: number, end: number]
}

/** The hunks of a unified diff, three lines of context around each; byte for byte, whatever the bytes are. */
export function writeHunks(before: Buffer, after: Buffer): Buffer {
  const diff = diffLines(before, after)
  const parts: Buffer[] = []
  for (const hunk of gather(listGroups(diff))) writeHunk(diff, hunk, parts)
  return Buffer.concat(parts)
}

function listGroups(diff: LineDiff): Group[] {
  const groups: Group[] = []
  const [leftCount, rightCount] = [diff.removed.length, diff.added.length]
  for (let left = 0, right = 0; left < leftCount || right < rightCount;) {
    const [leftStart, rightStart] = [left, right]
    while (diff.removed[left] === 1) left += 1
    while (diff.added[right] === 1) right += 1
    if (left > leftStart || right > rightStart)
      groups.push({ before: [leftStart, left], after: [rightStart, right] })
    else {
      left += 1
      right += 1
    }
  }
  return groups
}

/** Groups whose contexts meet share a hunk. */
function gather(groups: readonly Group[]): Group[][] {
  const hunks: Group[][] = []
  let last: Group | undefined
  for (const group of groups) {
    if (last !== undefined && group.before[0] - last.before[1] <= 2 * CONTEXT) hunks.at(-1)?.push(group)
    else hunks.push([group])
    last = group
  }
  return hunks
}

function writeHunk(diff: LineDiff, groups: readonly Group[], parts: Buffer[]): void {
  const [first] = groups
  const last = groups.at(-1)
  if (first === undefined || last === undefined) return
  const lead = Math.min(CONTEXT, first.before[0])
  const tail = Math.min(CONTEXT, diff.removed.length - last.before[1])
  const before = range(first.before[0] - lead, last.before[1] + tail)
  const after = range(first.after[0] - lead, last.after[1] + tail)
  parts.push(Buffer.from(`@@ -${before} +${after} @@\n`))
  let at = first.before[0] - lead
  for (const group of groups) {
    for (; at < group.before[0]; at += 1) writeLine(' ', diff.before, at, parts)
    for (; at < group.before[1]; at += 1) writeLine('-', diff.before, at, parts)
    for (let line = group.after[0]; line < group.after[1]; line += 1) writeLine('+', diff.after, line, parts)
  }
  for (const end = last.before[1] + tail; at < end; at += 1) writeLine(' ', diff.before, at, parts)
}

/** Counted from 1; an empty range names the line before it. */
function range(start: number, end: number): string {
  const count = end - start
  if (count === 1) return `${start + 1}`
  return `${count === 0 ? start : start + 1},${count}`
}

const signs: Readonly<Record<string, Buffer>> = {
  ' ': Buffer.from(' '),
  '-': Buffer.from('-'),
  '+': Buffer.from('+'),
}

function writeLine(sign: string, lines: Lines, index: number, parts: Buffer[]): void {
  const start = index === 0 ? 0 : (lines.ends[index - 1] ?? 0)
  const line = lines.bytes.subarray(start, lines.ends[index])
  parts.push(signs[sign] ?? Buffer.alloc(0), line)
  if (line.at(-1) !== 10) parts.push(NO_NEWLINE)
}
