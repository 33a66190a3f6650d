/** Version numbers as they are in keys: counted down, so that the newest version lists first. */
const HIGHEST = 9_999_999_999

/** What retention leaves under the number of a version that it removes. Not empty: a record cut off to nothing is damage. */
export const REMOVED_VERSION = new TextEncoder().encode('removed by retention\n')

/** Whether an object of that size under a version's key is {@link REMOVED_VERSION}; no record is so short. */
export function isRemovedVersion(size: number): boolean {
  return size === REMOVED_VERSION.length
}

/** Ten digits. */
export function invertVersion(version: number): string {
  return String(HIGHEST - version).padStart(10, '0')
}

/** The number of a key's segment, or `null` for a text that is no inverted version number. */
export function parseInvertedVersion(text: string): number | null {
  if (!/^[0-9]{10}$/.test(text)) return null
  const version = HIGHEST - Number(text)
  return version >= 1 ? version : null
}

/** A local store keeps what has a part of its key in common in a folder, and reads all names of the folder to find the first one. */
const DIGITS_IN_COMMON = 8

/** The same with a slash before the last two digits: in the same order, a hundred to a folder. */
export function versionPath(version: number): string {
  const inverted = invertVersion(version)
  return `${inverted.slice(0, DIGITS_IN_COMMON)}/${inverted.slice(DIGITS_IN_COMMON)}`
}

/** `null` for a text that is no `versionPath`. */
export function parseVersionPath(text: string): number | null {
  return text.indexOf('/') === DIGITS_IN_COMMON ? parseInvertedVersion(text.replace('/', '')) : null
}
