import { Buffer } from 'node:buffer'
import { WorkspaceError, assertObjectKey } from '@ws/core'

/** Every key of so many bytes fits: no character takes more than twice its bytes. */
export const MAX_KEY_BYTES = 450

/**
 * The service refuses `# % [ ] ~ " < > { } | ^` and the backtick and everything beyond ASCII, and trims spaces. A key
 * is written with the characters that it takes, so that names are in the order of their keys: each group of refused
 * characters is written as the taken character just below it in ASCII and a digit, and so is that character itself.
 */
const groups: readonly (readonly [lead: string, members: string])[] = [
  ['!', ' !"#'],
  ['$', '$%'],
  [';', ';<'],
  ['=', '=>'],
  ['Z', 'Z[]^'],
  ['_', '_`'],
  ['z', 'z{|}~'],
]
/** Behind `z`: how many digits a code point beyond ASCII has. */
const wideMarks: Readonly<Record<string, number>> = { '5': 2, '6': 3, '7': 4 }
/** In the order of ASCII. */
const DIGITS = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz'

const escapes = new Map<string, string>(
  groups.flatMap(([lead, members]) =>
    Array.from(members, (char, index) => [char, `${lead}${index}`] as const),
  ),
)
const characters = new Map([...escapes].map(([char, escape]) => [escape, char]))
const leads = new Set(groups.map(([lead]) => lead))

/** The name of a key, or of the beginning of one: a key begins with a prefix if and only if its name begins with that of the prefix. */
export function escapeKey(key: string): string {
  let name = ''
  for (const char of key) name += escapes.get(char) ?? (char < '\u0080' ? char : escapeWide(char))
  return name
}

/** The key of a name; `null` for names that others made and that stand for none. */
export function unescapeKey(name: string): string | null {
  let key = ''
  for (let at = 0; at < name.length;) {
    const lead = name[at] ?? ''
    if (!leads.has(lead)) {
      key += lead
      at += 1
      continue
    }
    const mark = name[at + 1] ?? ''
    const length = lead === 'z' ? (wideMarks[mark] ?? 0) : 0
    const char = length > 0 ? unescapeWide(name.slice(at + 2, at + 2 + length)) : characters.get(lead + mark)
    if (char === undefined) return null
    key += char
    at += 2 + length
  }
  return isLegal(key) && escapeKey(key) === name ? key : null
}

/** @throws `INVALID_INPUT` for a key that is no key, or too long */
export function assertSupabaseKey(key: string): void {
  assertObjectKey(key)
  const bytes = Buffer.byteLength(key)
  if (bytes <= MAX_KEY_BYTES) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The object key is ${bytes} bytes long; in Supabase at most ${MAX_KEY_BYTES} are allowed.`,
    { details: { key } },
  )
}

function escapeWide(char: string): string {
  const point = char.codePointAt(0) ?? 0
  const length = point < 0x800 ? 2 : point < 0x10000 ? 3 : 4
  let digits = ''
  for (let rest = point, count = 0; count < length; count += 1) {
    digits = `${DIGITS[rest % DIGITS.length]}${digits}`
    rest = Math.floor(rest / DIGITS.length)
  }
  return `z${length + 3}${digits}`
}

function unescapeWide(digits: string): string | undefined {
  let point = 0
  for (const digit of digits) {
    const value = DIGITS.indexOf(digit)
    if (value < 0) return undefined
    point = point * DIGITS.length + value
  }
  return digits !== '' && point <= 0x10ffff ? String.fromCodePoint(point) : undefined
}

function isLegal(key: string): boolean {
  try {
    assertSupabaseKey(key)
    return true
  } catch {
    return false
  }
}
