import type { BytePath } from '../../byte-path.ts'
import { patchNames, quotePatchPath } from '../../quote-patch-path.ts'

const HEADER = Buffer.from('diff --git ')
const LINE_FEED = 10

/**
 * The patch that git makes, without some files, and with names in quotes that `git apply` would take for others. Lines of
 * content begin with another character than headers, so that none of them passes for one.
 * @param leftOut files of which nothing is in the patch
 */
export async function* filterPatch(
  patch: AsyncIterable<Uint8Array>,
  leftOut: ReadonlySet<BytePath>,
): AsyncGenerator<Uint8Array, void, void> {
  const filter = createFilter(leftOut)
  let held: Uint8Array = new Uint8Array(0)
  let isInLine = false
  for await (const chunk of patch) {
    const bytes = Buffer.concat([held, chunk])
    const start = bytes.lastIndexOf(LINE_FEED) + 1
    const isBegunBefore: boolean = isInLine && start === 0
    const mayBeHeader: boolean = !isBegunBefore && startsLikeHeader(bytes.subarray(start))
    held = mayBeHeader ? bytes.subarray(start) : new Uint8Array(0)
    const kept = filter(mayBeHeader ? bytes.subarray(0, start) : bytes, !isInLine)
    if (kept.length > 0) yield kept
    isInLine = isBegunBefore || (!mayBeHeader && start < bytes.length)
  }
}

/** The same for a whole patch of which nothing is left out. */
export function quoteNames(patch: Buffer): Buffer {
  return createFilter(new Set())(patch, true)
}

/** @returns a function for bytes in which no header is cut, and which begin with a line or within one */
function createFilter(leftOut: ReadonlySet<BytePath>): (bytes: Buffer, isAtLine: boolean) => Buffer {
  const namesLeftOut = new Set([...leftOut].map(patchNames))
  let isLeftOut = false
  return (bytes, isAtLine) => {
    const parts: Buffer[] = []
    let from = 0
    for (let at = bytes.indexOf(HEADER); at !== -1; at = bytes.indexOf(HEADER, at + HEADER.length)) {
      const isHeader = at === 0 ? isAtLine : bytes[at - 1] === LINE_FEED
      if (!isHeader) continue
      if (!isLeftOut) parts.push(bytes.subarray(from, at))
      from = bytes.indexOf(LINE_FEED, at)
      const names = quoted(bytes.toString('latin1', at + HEADER.length, from))
      isLeftOut = namesLeftOut.has(names)
      if (!isLeftOut) parts.push(HEADER, Buffer.from(names, 'latin1'))
    }
    if (!isLeftOut) parts.push(bytes.subarray(from))
    return Buffer.concat(parts)
  }
}

/** Both names are the same but for their first letters, so the middle divides them. */
function quoted(names: string): string {
  if (names.startsWith('"')) return names
  const middle = (names.length - 1) / 2
  return `${quotePatchPath(names.slice(0, middle))} ${quotePatchPath(names.slice(middle + 1))}`
}

function startsLikeHeader(line: Buffer): boolean {
  const length = Math.min(line.length, HEADER.length)
  return length > 0 && line.subarray(0, length).equals(HEADER.subarray(0, length))
}
