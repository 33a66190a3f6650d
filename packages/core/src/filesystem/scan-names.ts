import { readdirSync, type Dirent } from 'node:fs'
import { bytesOf } from './native-bytes.ts'
import { decodePath, encodePath } from './path-text.ts'

/**
 * A path as Node's file functions take it without loss: the string itself when it is well-formed, else its bytes.
 * (Strings are twice as fast, and nearly all names are UTF-8.)
 */
export function nativePath(path: string): string | Buffer {
  return path.isWellFormed() ? path : encodePath(path)
}

/**
 * The names in a directory, a directory's with a `/` at the end, by UTF-16 code units. A depth-first walk in this order
 * meets full paths in one fixed order, that of {@link sortKey}.
 */
export function readNames(directory: string): string[] {
  const native = nativePath(directory)
  const entries = readdirSync(native, { withFileTypes: true })
  const names = entries.some(isInexact) ? readExactNames(native) : entries.map(keyOf)
  return names.length < 2 ? names : names.sort()
}

/** Where an entry stands among others: its path, a directory's with a `/` at the end. */
export function sortKey(entry: { readonly path: string; readonly type: string }): string {
  return entry.type === 'directory' ? `${entry.path}/` : entry.path
}

/** Node decodes each byte that is not UTF-8 to U+FFFD, which no longer finds the file. */
function isInexact(entry: Dirent): boolean {
  return entry.name.includes('\ufffd')
}

function readExactNames(native: string | Buffer): string[] {
  return readdirSync(native, { withFileTypes: true, encoding: 'buffer' }).map((entry) => {
    const name = decodePath(bytesOf(entry.name))
    return entry.isDirectory() ? `${name}/` : name
  })
}

function keyOf(entry: Dirent): string {
  return entry.isDirectory() ? `${entry.name}/` : entry.name
}
