import { isAscii } from 'node:buffer'
import { dirname, resolve } from 'node:path'
import { decodePath, encodePath } from '../filesystem/path-text.ts'

/**
 * A path relative to the workspace, one character (U+0000 to U+00FF) for each byte. Any name fits, comparing two
 * with `<` compares their bytes, and it works as a map key. Public paths are made with {@link fromBytePath}.
 */
export type BytePath = string

// eslint-disable-next-line no-control-regex
const beyondAscii = /[^\u0000-\u007f]/

export function toBytePath(path: string): BytePath {
  return beyondAscii.test(path) ? encodePath(path).toString('latin1') : path
}

export function fromBytePath(path: BytePath): string {
  return beyondAscii.test(path) ? decodePath(Buffer.from(path, 'latin1')) : path
}

/** What `node:fs` takes for an absolute path. */
export function nativePath(path: BytePath): string | Buffer {
  return beyondAscii.test(path) ? Buffer.from(path, 'latin1') : path
}

/** `node:path`'s `resolve` for bytes: it only looks at dots and slashes. */
export function resolveBytePath(base: BytePath, path: BytePath): BytePath {
  return resolve(base, path)
}

export function dirnameOf(path: BytePath): BytePath {
  return dirname(path)
}

/**
 * Turns paths below a directory into what `node:fs` takes; plain strings where possible, as they are faster.
 * @param names the bytes of all paths that will come, where they are at hand: to look at them once is faster, too
 */
export function pathResolver(root: string, names?: Uint8Array): (path: BytePath) => string | Buffer {
  const start = `${toBytePath(root)}/`
  const wholeOf = (path: BytePath): string => (path === '' ? start.slice(0, -1) : start + path)
  if (names !== undefined && isAscii(names) && !beyondAscii.test(start)) return wholeOf
  return (path) => nativePath(wholeOf(path))
}

/** The directory that holds a path; the workspace itself is the empty path. */
export function parentOf(path: BytePath): BytePath {
  const end = path.lastIndexOf('/')
  return end === -1 ? '' : path.slice(0, end)
}

export function nameOf(path: BytePath): BytePath {
  return path.slice(path.lastIndexOf('/') + 1)
}

export function joinPath(directory: BytePath, name: BytePath): BytePath {
  return directory === '' ? name : `${directory}/${name}`
}

export function compareBytes(left: BytePath, right: BytePath): number {
  return left < right ? -1 : left > right ? 1 : 0
}

/** Splits what git prints with `-z`. */
export function splitRecords(output: Buffer): string[] {
  const records = output.toString('latin1').split('\0')
  if (records.at(-1) === '') records.pop()
  return records
}

/** Of what git takes for space; `trim` would cut the last byte of names such as `déjà` too. */
export function trimSpace(bytes: string): string {
  return bytes.replace(/^[ \t\r\n]+|[ \t\r\n]+$/g, '')
}
