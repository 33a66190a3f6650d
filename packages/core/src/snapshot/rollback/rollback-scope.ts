import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { toBytePath } from '../byte-path.ts'

/**
 * Whether a path is one of the named ones or below one. Names are taken literally: no character is a wildcard.
 * @throws `UNSAFE_PATH` for a path that leads out of the workspace
 */
export function scopeOf(paths: readonly string[] | undefined): (path: ByteString) => boolean {
  if (paths === undefined) return () => true
  const scopes = new Set(paths.map(toScope))
  return (path) => {
    for (let end = path.length; end !== -1; end = path.lastIndexOf('/', end - 1)) {
      if (scopes.has(path.slice(0, end))) return true
      if (end === 0) break
    }
    return scopes.has('')
  }
}

/** A named path as states have it. @throws `UNSAFE_PATH` */
export function toScope(path: string): ByteString {
  const parts = path.split('/').filter((part) => part !== '' && part !== '.')
  if (!path.startsWith('/') && !parts.includes('..') && !path.includes('\0'))
    return toBytePath(parts.join('/'))
  throw new WorkspaceError(
    'UNSAFE_PATH',
    `${JSON.stringify(path)} is not a path inside the workspace. Use relative paths without "..".`,
    { details: { path } },
  )
}
