/** Version numbers as they are in keys: counted down, so that the newest version lists first. */
const HIGHEST = 9_999_999_999

/** Ten digits. */
export function invertVersion(version: number): string {
  return String(HIGHEST - version).padStart(10, '0')
}

/** The number of a key's last segment, or `null` for a text that is no inverted version number. */
export function parseInvertedVersion(text: string): number | null {
  if (!/^[0-9]{10}$/.test(text)) return null
  const version = HIGHEST - Number(text)
  return version >= 1 ? version : null
}
