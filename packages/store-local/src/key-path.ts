/** The store's own folder inside the root. No key is encoded to this name: `%` always has two hex digits or an end after it. */
export const PRIVATE_FOLDER = '%ws'
/** What the name of every object's file ends with. A file without it is not an object. */
const OBJECT_SUFFIX = '%'
/** What the name of a folder ends with that holds the rest of an over-long segment. */
const CONTINUATION_SUFFIX = '%+'
/** File systems allow 255 bytes. */
const MAX_NAME_LENGTH = 200

const plain = /[a-z0-9._\-+=,@~]/
const standsForItself = /^[a-z0-9._\-+=,@~]+$/
const reservedOnWindows = /^(?:con|prn|aux|nul|com[0-9]|lpt[0-9])(?:\.|$)/

/**
 * Where an object lives below the root, as names of folders and last the name of its file.
 *
 * - `a-z 0-9 . _ - + = , @ ~` stand for themselves, `A` is `!a` (as in Go's module cache), any other character is the
 *   `%xx` of its UTF-8 bytes. So keys that differ in case or Unicode form never meet on a file system that folds them.
 * - The last dot of a name and the first letter of a name that Windows reserves (`con`, `nul`) are `%xx` too.
 * - The file's name ends in `%`, so that the object `a` and the folder of `a/b` are neighbours.
 * - A segment of more than 200 encoded characters is cut; all parts but the last are folders ending in `%+`.
 */
export function keyToNames(key: string): string[] {
  const segments = key.split('/')
  const last = segments.pop() ?? ''
  const names = segments.flatMap(segmentToNames)
  const fileNames = segmentToNames(last)
  fileNames.push(`${fileNames.pop() ?? ''}${OBJECT_SUFFIX}`)
  return [...names, ...fileNames]
}

/** The folder that holds all keys that start with `prefix`, which is empty or ends with `/`. */
export function folderToNames(prefix: string): string[] {
  return prefix === '' ? [] : prefix.slice(0, -1).split('/').flatMap(segmentToNames)
}

export interface DecodedName {
  readonly kind: 'object' | 'folder' | 'continuation'
  /** The part of the key that the name stands for. */
  readonly text: string
}

/** What a name in the tree stands for, or `null` when this store did not make it. */
export function decodeName(name: string): DecodedName | null {
  if (name.endsWith(CONTINUATION_SUFFIX)) return decodeText(name.slice(0, -2), 'continuation')
  if (name.endsWith(OBJECT_SUFFIX)) return decodeText(name.slice(0, -1), 'object')
  return decodeText(name, 'folder')
}

function segmentToNames(segment: string): string[] {
  const names: string[] = []
  let name = ''
  for (const character of segment) {
    const unit = encodeCharacter(character)
    if (name.length + unit.length > MAX_NAME_LENGTH) {
      names.push(protectName(name) + CONTINUATION_SUFFIX)
      name = ''
    }
    name += unit
  }
  return [...names, protectName(name)]
}

function encodeCharacter(character: string): string {
  if (plain.test(character)) return character
  if (/[A-Z]/.test(character)) return `!${character.toLowerCase()}`
  return encodeBytes(character)
}

function encodeBytes(character: string): string {
  let encoded = ''
  for (const byte of Buffer.from(character)) encoded += `%${byte.toString(16).padStart(2, '0')}`
  return encoded
}

function protectName(name: string): string {
  if (name.endsWith('.')) return `${name.slice(0, -1)}%2e`
  if (reservedOnWindows.test(name)) return encodeBytes(name.slice(0, 1)) + name.slice(1)
  return name
}

function decodeText(encoded: string, kind: DecodedName['kind']): DecodedName | null {
  if (standsForItself.test(encoded)) return { kind, text: encoded }
  if (!/^(?:[a-z0-9._\-+=,@~]|![a-z]|%[0-9a-f]{2})+$/.test(encoded)) return null
  const ascii = encoded.replace(/!([a-z])/g, (_, letter: string) => letter.toUpperCase())
  try {
    return { kind, text: decodeURIComponent(ascii) }
  } catch {
    return null
  }
}
