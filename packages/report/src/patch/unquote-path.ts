const escapes: Readonly<Record<string, string>> = {
  a: '\x07',
  b: '\b',
  t: '\t',
  n: '\n',
  v: '\v',
  f: '\f',
  r: '\r',
  '"': '"',
  '\\': '\\',
}

/** A path of a patch header as bytes in a latin1 string; git quotes the odd ones in the manner of C. `null`: malformed. */
export function unquotePath(text: string): string | null {
  if (!text.startsWith('"')) return text
  const body = /^"((?:[^"\\]|\\[abtnvfr"\\]|\\[0-3][0-7]{2})*)"$/.exec(text)?.[1]
  if (body === undefined) return null
  return body.replace(/\\([0-3][0-7]{2}|.)/g, (_, escape: string) =>
    escape.length === 3 ? String.fromCharCode(Number.parseInt(escape, 8)) : (escapes[escape] ?? escape),
  )
}
