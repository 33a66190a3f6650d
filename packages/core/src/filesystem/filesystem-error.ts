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
  EBUSY: ['UNAVAILABLE', 'the system or another program holds it'],
  ESTALE: ['UNAVAILABLE', 'the network file system lost it'],
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
  const known = isRefusedToAll(error) ? refusedToAll : codes[errno ?? '']
  if (errno === undefined || (known === undefined && !isOfSystem(error))) return error
  const [code, reason] = known ?? ['INTERNAL', 'the system refused']
  return new WorkspaceError(code, `Cannot ${action} ${JSON.stringify(path)}: ${reason} (${errno}).`, {
    cause: error,
    details: { path, errno },
  })
}

const refusedToAll = [
  'UNSUPPORTED',
  'the permission model of Node allows it to nobody; start Node without --permission',
] as const

/** What no flag allows is refused without the name of one. */
function isRefusedToAll(error: unknown): boolean {
  return errnoOf(error) === 'ERR_ACCESS_DENIED' && (error as { permission?: unknown }).permission === ''
}

/** Does what concerns private state only. @throws what goes wrong there as one of this library's errors */
export async function inStateDirectory<T>(directory: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw toWorkspaceError(error, 'use the state directory', placeIn(directory, error) ?? directory)
  }
}

/** The path that an error of the system is about, where that is below a directory; else `null`. */
export function placeIn(directory: string, error: unknown): string | null {
  const path = typeof error === 'object' && error !== null && 'path' in error ? error.path : null
  return typeof path === 'string' && path.startsWith(`${directory}/`) ? path : null
}

function isOfSystem(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}
