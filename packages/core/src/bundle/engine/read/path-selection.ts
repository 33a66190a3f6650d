import { describeValue } from '../../../describe-value.ts'
import { WorkspaceError } from '../../../errors.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { encodePath } from '../../../filesystem/path-text.ts'

/** What of a directory is meant: all of it, or these entries of it. */
export type Selection = 'all' | ReadonlyMap<ByteString, Selection>

/** @throws `INVALID_INPUT` for a path that is not relative and plain */
export function selectPaths(paths: readonly string[] | undefined): Selection {
  if (paths === undefined) return 'all'
  const root = new Map<ByteString, Selection>()
  for (const path of paths) {
    const names = splitPath(path)
    const last = names.pop()
    if (last === undefined) return 'all'
    let level: Map<ByteString, Selection> | null = root
    for (const name of names) {
      const inner: Selection = level.get(name) ?? new Map()
      level.set(name, inner)
      level = inner === 'all' ? null : (inner as Map<ByteString, Selection>)
      if (level === null) break
    }
    level?.set(last, 'all')
  }
  return root
}

/** The components of a path in the form of `decodePath`; none for the directory itself. @throws `INVALID_INPUT` */
export function splitPath(path: string): ByteString[] {
  const bytes = typeof path === 'string' ? encodePath(path).toString('latin1') : '\0'
  const names = bytes.replace(/\/+$/, '').split('/')
  if (bytes === '' || bytes === '.') return []
  if (names.some((name) => name === '' || name === '.' || name === '..' || name.includes('\0'))) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `${describeValue(path)} is not a usable path: it must be relative, without empty parts, "." and "..".`,
      { details: { path: typeof path === 'string' ? path : describeValue(path) } },
    )
  }
  return names
}
