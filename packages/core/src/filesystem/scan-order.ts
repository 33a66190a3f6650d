import { encodePath } from './path-text.ts'

/** Orders paths by their bytes. JavaScript's own order differs above U+D7FF. */
export function comparePaths(left: string, right: string): number {
  if (left === right) return 0
  if (isAscii(left) && isAscii(right)) return left < right ? -1 : 1
  return encodePath(left).compare(encodePath(right))
}

function isAscii(text: string): boolean {
  // eslint-disable-next-line no-control-regex -- the range is the whole of ASCII
  return /^[\u0000-\u007f]*$/.test(text)
}
