import { WorkspaceError } from '../../../errors.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'

/** What was there is not any more or is something else, or something is where nothing was. */
const CHANGED = new Set(['ENOENT', 'ENOTDIR', 'ELOOP', 'ENOTEMPTY', 'EEXIST'])

/** What went wrong in a directory that was there a moment before: of this kind, only another process can do it. */
export function changedUnderWay(error: unknown, target: string): unknown {
  const errno = WorkspaceError.is(error) ? undefined : errnoOf(error)
  if (errno === undefined || !CHANGED.has(errno)) return error
  return new WorkspaceError(
    'CONFLICT',
    `Cannot load into ${JSON.stringify(target)}: somebody else changed it meanwhile (${errno}). Load again.`,
    { cause: error, details: { path: target, errno } },
  )
}
