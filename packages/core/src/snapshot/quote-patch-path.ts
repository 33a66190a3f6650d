const SPECIALS: Readonly<Record<string, string>> = {
  '\u0007': '\\a',
  '\b': '\\b',
  '\t': '\\t',
  '\n': '\\n',
  '\v': '\\v',
  '\f': '\\f',
  '\r': '\\r',
  '"': '\\"',
  '\\': '\\\\',
}

/**
 * As git prints names: in double quotes with octal escapes when there is anything but plain ASCII in them. Also around a
 * directory whose name ends with a space, which `git apply` would take for the end of the first of two names.
 */
export function quotePatchPath(path: string): string {
  // eslint-disable-next-line no-control-regex -- what must be escaped
  if (!/[\u0000-\u001f"\\\u007f-\u00ff]| \//.test(path)) return path
  // eslint-disable-next-line no-control-regex -- the same
  const escaped = path.replace(/[\u0000-\u001f"\\\u007f-\u00ff]/g, (character) => {
    const special = SPECIALS[character]
    return special ?? `\\${(character.codePointAt(0) ?? 0).toString(8).padStart(3, '0')}`
  })
  return `"${escaped}"`
}

/** What follows `diff --git` where both names are the same. */
export function patchNames(path: string): string {
  return `${quotePatchPath(`a/${path}`)} ${quotePatchPath(`b/${path}`)}`
}
