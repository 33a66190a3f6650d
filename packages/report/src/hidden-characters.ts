/** A piece of hostile text: shown as it is, or the visible name of a character that would act instead of show. */
export interface TextPiece {
  readonly text: string
  /** What the character is, for a tooltip; `null` for plain text. */
  readonly hidden: string | null
}

/**
 * What must not reach a terminal or a page as it is: controls (escape sequences begin with one), line and paragraph
 * separators, everything that is ignored when drawn (bidi controls, zero-width characters, tags, odd variation
 * selectors: the means of "Trojan Source", CVE-2021-42574), private-use characters and lone surrogates. The joiner
 * and the selectors inside an emoji stay.
 */
const hidden =
  /(?!\u200d|\ufe0f)[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?<![\p{Extended_Pictographic}\p{Emoji_Modifier}\ufe0f])\u200d|(?<![\p{Emoji}])\ufe0f/gu
const plain = /^[\x20-\x7e]*$/

const names: Readonly<Record<number, string>> = {
  0x00ad: 'soft hyphen',
  0x061c: 'Arabic letter mark',
  0x200b: 'zero width space',
  0x200c: 'zero width non-joiner',
  0x200d: 'zero width joiner',
  0x200e: 'left-to-right mark',
  0x200f: 'right-to-left mark',
  0x202a: 'left-to-right embedding',
  0x202b: 'right-to-left embedding',
  0x202c: 'pop directional formatting',
  0x202d: 'left-to-right override',
  0x202e: 'right-to-left override',
  0x2060: 'word joiner',
  0x2066: 'left-to-right isolate',
  0x2067: 'right-to-left isolate',
  0x2068: 'first strong isolate',
  0x2069: 'pop directional isolate',
  0xfeff: 'byte order mark',
}

const controls =
  'NUL SOH STX ETX EOT ENQ ACK BEL BS TAB LF VT FF CR SO SI DLE DC1 DC2 DC3 DC4 NAK SYN ETB CAN EM SUB ESC FS GS RS US'.split(
    ' ',
  )

/** Splits a text so that what is hidden in it can be shown. A tab counts as plain when `keepTabs` is set. */
export function textPieces(text: string, options: { readonly keepTabs?: boolean } = {}): TextPiece[] {
  if (plain.test(text)) return text === '' ? [] : [{ text, hidden: null }]
  const pieces: TextPiece[] = []
  let from = 0
  for (const match of text.matchAll(hidden)) {
    if (options.keepTabs === true && match[0] === '\t') continue
    if (match.index > from) pieces.push({ text: text.slice(from, match.index), hidden: null })
    pieces.push(visible(match[0].codePointAt(0) ?? 0))
    from = match.index + match[0].length
  }
  if (from < text.length) pieces.push({ text: text.slice(from), hidden: null })
  return pieces
}

/** The whole text in one piece with everything hidden in it made visible. */
export function visibleText(text: string): string {
  return textPieces(text)
    .map((piece) => piece.text)
    .join('')
}

function visible(code: number): TextPiece {
  const hex = code.toString(16).toUpperCase()
  const name = `U+${hex.padStart(4, '0')}`
  const control = code === 0x7f ? 'DEL' : controls[code]
  if (control !== undefined) return { text: `<${control}>`, hidden: `control character ${name}` }
  if (code >= 0xdc80 && code <= 0xdcff) {
    const byte = (code - 0xdc00).toString(16).toUpperCase()
    return { text: `<${byte}>`, hidden: `the byte 0x${byte}, which is not UTF-8` }
  }
  return { text: `<${name}>`, hidden: `${names[code] ?? 'hidden character'}, ${name}` }
}
