import { WorkspaceError, type ErrorCode } from '../errors.ts'

const codes: Readonly<Record<string, readonly [ErrorCode, string]>> = {
  EACCES: ['ACCESS_DENIED', 'the file permissions do not allow it'],
  EPERM: ['ACCESS_DENIED', 'the system does not allow it'],
  EROFS: ['ACCESS_DENIED', 'the file system is read-only'],
  ERR_ACCESS_DENIED: [
    'ACCESS_DENIED',
    'the permission model of Node does not allow it; start Node with the --allow-… flag that it lacks',
  ],
  ENOSPC: ['QUOTA_EXCEEDED', 'the disk is full'],
  EDQUOT: ['QUOTA_EXCEEDED', "the user's disk quota is used up"],
  EFBIG: ['QUOTA_EXCEEDED', 'the file would be larger than the system allows'],
  EMFILE: ['UNAVAILABLE', 'too many files are open'],
  ENFILE: ['UNAVAILABLE', 'too many files are open on the machine'],
  EIO: ['UNAVAILABLE', 'the device failed'],
  ENOENT: ['NOT_FOUND', 'there is no such directory'],
  ENOTDIR: ['INVALID_INPUT', 'it is not a directory'],
  ELOOP: ['INVALID_INPUT', 'it is a link that leads to itself, or to too many others'],
  ENAMETOOLONG: ['UNSUPPORTED', 'a name or path is longer than the file system allows'],
  EXDEV: ['UNSUPPORTED', 'another file system is mounted inside it'],
  ENOTSUP: ['UNSUPPORTED', 'the file system does not support it'],
  EOPNOTSUPP: ['UNSUPPORTED', 'the file system does not support it'],
  ENOSYS: ['UNSUPPORTED', 'the file system does not support it'],
  EILSEQ: ['UNSUPPORTED', 'the file system cannot hold a name'],
}

export function errnoOf(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' ? error.code : undefined
}

/** Whether nothing was found where something was looked for, no link followed. */
export function isAbsence(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ELOOP'
}

/** Whether the permissions of what was to be opened or changed forbid it. */
export function isDenied(error: unknown): boolean {
  const errno = errnoOf(error)
  return errno === 'EACCES' || errno === 'EPERM'
}

/** Puts what `node:fs` throws into the error table; anything that is not an error of the system comes back as it is. */
export function toWorkspaceError(error: unknown, action: string, path: string): unknown {
  if (WorkspaceError.is(error)) return error
  const errno = errnoOf(error)
  const known = errno === undefined ? undefined : codes[errno]
  if (errno === undefined || known === undefined) return error
  return new WorkspaceError(known[0], `Cannot ${action} ${JSON.stringify(path)}: ${known[1]} (${errno}).`, {
    cause: error,
    details: { path, errno },
  })
}
