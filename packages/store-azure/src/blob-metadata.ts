/**
 * The service takes only names that are identifiers, and folds spaces in values when it checks a signature. Names get
 * `_` for `-` (and one more in front of a digit or `_`); in values `%`, and spaces at an end or behind a space, are
 * percent-encoded; an empty value is a single `%`.
 */
export function encodeMetadata(metadata: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata).map(([name, value]) => [encodeName(name), encodeValue(value)]),
  )
}

export function decodeMetadata(
  metadata: Readonly<Record<string, string>> | undefined,
): Record<string, string> {
  return Object.fromEntries(
    Object.entries(metadata ?? {}).map(([name, value]) => [
      decodeName(name.toLowerCase()),
      decodeValue(value),
    ]),
  )
}

function encodeName(name: string): string {
  const identifier = name.replaceAll('-', '_')
  return /^[a-z]/.test(identifier) ? identifier : `_${identifier}`
}

function decodeName(identifier: string): string {
  return identifier.replace(/^_/, '').replaceAll('_', '-')
}

function encodeValue(value: string): string {
  if (value === '') return '%'
  return value.replaceAll('%', '%25').replaceAll(/^ | $|(?<= ) /g, '%20')
}

function decodeValue(value: string): string {
  if (value === '%') return ''
  return value.replaceAll(/%2[05]/g, (escape) => (escape === '%20' ? ' ' : '%'))
}
