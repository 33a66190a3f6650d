import { WorkspaceError, type ErrorCode } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { pathText } from '../../filesystem/path-text.ts'

export function corrupt(reason: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError(
    'CORRUPT',
    `The archive is damaged: ${reason}. Nothing was changed; get the archive again.`,
    cause === undefined ? {} : { cause },
  )
}

export function refused(code: ErrorCode, path: ByteString, reason: string): WorkspaceError {
  const entry = pathText(path.length > 300 ? `${path.slice(0, 300)}…` : path)
  return new WorkspaceError(
    code,
    `The archive entry ${JSON.stringify(entry)} is refused: ${reason}. Nothing was changed.`,
    { details: { entry } },
  )
}
