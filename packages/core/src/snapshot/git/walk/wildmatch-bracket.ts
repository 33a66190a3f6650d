const BACKSLASH = 0x5c
const OPEN = 0x5b

/** A set of characters in a pattern, such as `[a-z]`, `[!0-9]` or `[[:alpha:]_]`. */
export interface Bracket {
  /** Where its closing bracket is. */
  readonly end: number
  holds(code: number): boolean
}

type Test = (code: number) => boolean

interface Part {
  readonly test: Test
  readonly next: number
  /** The character that a range may begin with; 0 for none. */
  readonly last: number
}

/** @returns `null` when it is not closed, or names an unknown class: then nothing matches */
export function readBracket(pattern: string, start: number, ignoreCase: boolean): Bracket | null {
  let at = start + 1
  const isNegated = pattern[at] === '!' || pattern[at] === '^'
  if (isNegated) at += 1
  const tests: Test[] = []
  let previous = 0
  for (let isFirst = true; isFirst || pattern[at] !== ']'; isFirst = false) {
    const part = readPart(pattern, at, previous, ignoreCase)
    if (part === null) return null
    tests.push(part.test)
    at = part.next
    previous = part.last
  }
  return { end: at, holds: (code) => tests.some((test) => test(code)) !== isNegated }
}

function readPart(pattern: string, at: number, previous: number, ignoreCase: boolean): Part | null {
  if (at >= pattern.length) return null
  const code = pattern.charCodeAt(at)
  if (code === BACKSLASH) return readLiteral(pattern, at + 1)
  const isRange = pattern[at] === '-' && previous !== 0
  if (isRange && at + 1 < pattern.length && pattern[at + 1] !== ']')
    return readRange(pattern, at + 1, previous, ignoreCase)
  if (code === OPEN && pattern[at + 1] === ':') return readClass(pattern, at, ignoreCase)
  return readLiteral(pattern, at)
}

function readLiteral(pattern: string, at: number): Part | null {
  if (at >= pattern.length) return null
  const literal = pattern.charCodeAt(at)
  return { test: (code) => code === literal, next: at + 1, last: literal }
}

function readRange(pattern: string, start: number, first: number, ignoreCase: boolean): Part | null {
  const at = pattern.charCodeAt(start) === BACKSLASH ? start + 1 : start
  if (at >= pattern.length) return null
  const holds = isBetween(first, pattern.charCodeAt(at))
  const test = (code: number) => holds(code) || (ignoreCase && isLower(code) && holds(code - 32))
  return { test, next: at + 1, last: 0 }
}

function readClass(pattern: string, at: number, ignoreCase: boolean): Part | null {
  const end = pattern.indexOf(']', at + 2)
  if (end === -1) return null
  // Without `:]` it is a set like any other.
  if (end - at < 3 || pattern[end - 1] !== ':') return readLiteral(pattern, at)
  const belongs = classes[pattern.slice(at + 2, end - 1)]
  if (belongs === undefined) return null
  return { test: (code) => belongs(code, ignoreCase), next: end + 1, last: 0 }
}

const isBetween = (low: number, high: number) => (code: number) => code >= low && code <= high
const isDigit = isBetween(0x30, 0x39)
const isLower = isBetween(0x61, 0x7a)
const isUpper = isBetween(0x41, 0x5a)
const isGraph = isBetween(0x21, 0x7e)
const isAlpha = (code: number) => isLower(code) || isUpper(code)

/** The classes of `[:name:]`, for bytes as in the C locale. */
const classes: Readonly<Record<string, ((code: number, ignoreCase: boolean) => boolean) | undefined>> = {
  __proto__: null as never,
  alnum: (code) => isAlpha(code) || isDigit(code),
  alpha: isAlpha,
  blank: (code) => code === 0x20 || code === 0x09,
  cntrl: (code) => code < 0x20 || code === 0x7f,
  digit: isDigit,
  graph: isGraph,
  lower: isLower,
  print: isBetween(0x20, 0x7e),
  punct: (code) => isGraph(code) && !isAlpha(code) && !isDigit(code),
  space: (code) => code === 0x20 || (code >= 0x09 && code <= 0x0d),
  upper: (code, ignoreCase) => isUpper(code) || (ignoreCase && isLower(code)),
  xdigit: (code) => isDigit(code) || isBetween(0x61, 0x66)(code) || isBetween(0x41, 0x46)(code),
}
