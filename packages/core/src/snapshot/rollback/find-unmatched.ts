import { lstatSync } from 'node:fs'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { parentOf, pathResolver } from '../byte-path.ts'
import { toScope } from './rollback-scope.ts'
import type { Delta, RollbackState } from './rollback-source.ts'

/** Of the paths that a caller named: those that a rollback has nothing to say about, as the caller wrote them. */
export function findUnmatched(
  root: string,
  paths: readonly string[] | undefined,
  states: readonly RollbackState[],
  deltas: readonly Delta[],
): string[] {
  if (paths === undefined) return []
  const differing = new Set<ByteString>([''])
  for (let { path } of deltas) for (; !differing.has(path); path = parentOf(path)) differing.add(path)
  const resolve = pathResolver(root)
  return paths.filter((named) => {
    const path = toScope(named)
    if (differing.has(path)) return false
    return states.some((state) => state.isLeftOut(path) || state.isUnread(path)) || !isThere(resolve(path))
  })
}

/** What nobody may look at counts as there: nothing is known of it. */
function isThere(file: string | Buffer): boolean {
  try {
    return lstatSync(file, { throwIfNoEntry: false }) !== undefined
  } catch (error) {
    return !['ENOTDIR', 'ELOOP', 'ENAMETOOLONG'].includes(errnoOf(error) ?? '')
  }
}
