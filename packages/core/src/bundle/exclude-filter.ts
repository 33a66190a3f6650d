import { Minimatch } from 'minimatch'
import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'
import type { ByteString } from '../filesystem/directory-handle.ts'
import { pathText } from '../filesystem/path-text.ts'

/** Tests paths against anchored globs. @throws `INVALID_INPUT` for a pattern that cannot match anything. */
export function excludeFilter(patterns: readonly string[]): (path: ByteString) => boolean {
  const names = new Set<ByteString>()
  const matchers: Minimatch[] = []
  for (const pattern of patterns) {
    if (!isUsable(pattern)) {
      throw new WorkspaceError(
        'INVALID_INPUT',
        `The exclude pattern ${describeValue(pattern)} is not usable: it must name something inside the directory, without "..".`,
      )
    }
    const anchored = pattern.replace(/^(\.?\/)+/, '').replace(/\/+$/, '')
    const name = /^\*\*\/([\w.-]+)$/.exec(anchored)?.[1]
    if (name !== undefined) names.add(name)
    else
      matchers.push(
        new Minimatch(anchored, { dot: true, nocomment: true, nonegate: true, platform: 'linux' }),
      )
  }
  if (matchers.length === 0 && names.size === 0) return () => false
  return (path) => {
    // A plain name at any depth is by far the most common pattern, and asked for with every entry of a walk.
    if (names.has(path.slice(path.lastIndexOf('/') + 1))) return true
    if (matchers.length === 0) return false
    const text = pathText(path)
    return matchers.some((matcher) => matcher.match(text))
  }
}

/** Callers need not be written in TypeScript. Outside of the directory there is nothing to be left out. */
function isUsable(pattern: unknown): boolean {
  if (typeof pattern !== 'string' || pattern.replace(/[/.]/g, '') === '') return false
  return !pattern.includes('\0') && !pattern.split('/').includes('..')
}
