const HEADER = Buffer.from('diff --git ')
const LINE_FEED = 10
const QUOTE = 34

/**
 * Names with a directory that ends in a space go into quotes, which git leaves out: `git apply` takes that space for the
 * end of the first of the two names and refuses the patch. Lines of content begin with another character than headers.
 */
export async function* quotePatchNames(
  patch: AsyncIterable<Uint8Array>,
): AsyncGenerator<Uint8Array, void, void> {
  let held: Uint8Array = new Uint8Array(0)
  let isInLine = false
  for await (const chunk of patch) {
    const bytes = Buffer.concat([held, chunk])
    const start = bytes.lastIndexOf(LINE_FEED) + 1
    const isBegunBefore = isInLine && start === 0
    const mayBeHeader = !isBegunBefore && startsLike(bytes.subarray(start))
    held = mayBeHeader ? bytes.subarray(start) : new Uint8Array(0)
    const whole = mayBeHeader ? bytes.subarray(0, start) : bytes
    if (whole.length > 0) yield quoteNames(whole, !isInLine)
    isInLine = isBegunBefore || (!mayBeHeader && start < bytes.length)
  }
  if (held.length > 0) yield held
}

/** @param isAtLine whether the bytes begin with a line */
export function quoteNames(bytes: Buffer, isAtLine = true): Buffer {
  const parts: Buffer[] = []
  let copied = 0
  for (let at = bytes.indexOf(HEADER); at !== -1; at = bytes.indexOf(HEADER, at + HEADER.length)) {
    const isHeader = at === 0 ? isAtLine : bytes[at - 1] === LINE_FEED
    const end = bytes.indexOf(LINE_FEED, at)
    const names = bytes.subarray(at + HEADER.length, end)
    if (!isHeader || end === -1 || names[0] === QUOTE || !names.includes(' /')) continue
    // Both are the same but for their first letters, so the middle divides them.
    const middle = (names.length - 1) / 2
    const quoted = `"${names.toString('latin1', 0, middle)}" "${names.toString('latin1', middle + 1)}"`
    parts.push(bytes.subarray(copied, at + HEADER.length), Buffer.from(quoted, 'latin1'))
    copied = end
  }
  return copied === 0 ? bytes : Buffer.concat([...parts, bytes.subarray(copied)])
}

function startsLike(line: Buffer): boolean {
  const length = Math.min(line.length, HEADER.length)
  return length > 0 && line.subarray(0, length).equals(HEADER.subarray(0, length))
}
