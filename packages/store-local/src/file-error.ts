import { WorkspaceError, type ErrorCode } from '@ws/core'

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
  EMFILE: ['UNAVAILABLE', 'too many files are open in this process'],
  ENFILE: ['UNAVAILABLE', 'too many files are open on this machine'],
  EIO: ['UNAVAILABLE', 'the device failed'],
  ENOENT: ['UNAVAILABLE', 'somebody removed a file or folder of the store meanwhile'],
  EBUSY: ['UNAVAILABLE', 'another program holds the file'],
  ESTALE: ['UNAVAILABLE', 'the network file system lost the file'],
  ETIMEDOUT: ['TIMEOUT', 'the file system did not answer'],
  ELOOP: ['UNSAFE_PATH', 'a symbolic link is in its place'],
  ENOTDIR: ['UNSAFE_PATH', 'a file is in the place of a folder'],
  ENAMETOOLONG: ['UNSUPPORTED', 'the path is longer than the file system allows; use a shorter root or key'],
  ENOTSUP: ['UNSUPPORTED', 'the file system lacks hard links, which safe writing needs'],
  ENOSYS: ['UNSUPPORTED', 'the file system lacks what safe writing needs'],
  EMLINK: ['UNAVAILABLE', 'too many writers hold locks'],
}

const unflushable: readonly [ErrorCode, string] = [
  'UNSUPPORTED',
  "the permission model of Node lets nobody flush a file; use durability: 'none', or start Node without --permission",
]

export function errnoOf(error: unknown): string | undefined {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
}

/**
 * Puts what `node:fs` throws into the error table. Errors that are not the file system's come back as they are.
 * @param root of the store, where what is to be done concerns its disk
 */
export function toStoreError(error: unknown, action: string, key: string, root?: string): unknown {
  const errno = errnoOf(error)
  const isOfSystem = error instanceof Error && ('syscall' in error || errno === 'ERR_ACCESS_DENIED')
  if (errno === undefined || WorkspaceError.is(error) || !isOfSystem) return error
  const isRefusedToAll = errno === 'ERR_ACCESS_DENIED' && 'permission' in error && error.permission === ''
  const [code, reason] = isRefusedToAll ? unflushable : (codes[errno] ?? ['INTERNAL', 'the system refused'])
  const place = root === undefined ? '' : ` in the local store ${root}`
  return new WorkspaceError(code, `Cannot ${action} ${JSON.stringify(key)}${place}: ${reason} (${errno}).`, {
    cause: error,
    details: { key, errno },
  })
}

export function unsafePath(path: string): WorkspaceError {
  const message = `${JSON.stringify(path)} is not a folder of this store, so nothing below it is touched. Remove what was put there.`
  return new WorkspaceError('UNSAFE_PATH', message, { details: { path } })
}

export function corrupt(key: string, reason: string): WorkspaceError {
  return new WorkspaceError('CORRUPT', `The object ${JSON.stringify(key)} is damaged: ${reason}.`, {
    details: { key },
  })
}
