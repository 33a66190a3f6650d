import { WorkspaceError } from '../../../errors.ts'

/** Puts the key of the stored object, and the files that need it, into the details of damage found in it; other errors stay as they are. */
export function damageIn(key: string | null, error: unknown, files: readonly string[] = []): unknown {
  if (!WorkspaceError.is(error, 'CORRUPT')) return error
  const details = {
    ...error.details,
    ...(key === null ? {} : { key }),
    ...(files.length === 0 ? {} : { files: files.slice(0, FILES_NAMED) }),
  }
  return new WorkspaceError('CORRUPT', error.message, { cause: error.cause ?? error, details })
}

/** Of an error; a list of everything that is hit comes from `verifyVersion` and `onDamage: 'skip'`. */
const FILES_NAMED = 100

export function objectOf(error: unknown): string {
  if (!WorkspaceError.is(error)) return 'unknown'
  const { key, object } = error.details
  return typeof key === 'string' ? key : typeof object === 'string' ? object : 'unknown'
}

export function reasonOf(error: unknown): string {
  if (!WorkspaceError.is(error)) return String(error)
  const { reason } = error.details
  return typeof reason === 'string' ? reason : error.message
}
