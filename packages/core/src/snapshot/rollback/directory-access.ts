import { fchmodSync, fstatSync, lchownSync, mkdirSync } from 'node:fs'
import { createDirectoryCursor, type DirectoryCursor } from '../../filesystem/directory-cursor.ts'
import { WorkspaceError } from '../../errors.ts'
import {
  childPath,
  openRealRoot,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import { errnoOf, toWorkspaceError } from '../../filesystem/filesystem-error.ts'
import { nameOf, parentOf, toBytePath } from '../byte-path.ts'
import { shownPath } from './list-paths.ts'

/** Directories of the workspace, each reached without following a link. */
export interface DirectoryAccess {
  readonly cursor: DirectoryCursor
  /** The directory, with its owner allowed to change what is in it until the rollback is over. */
  openForWriting(path: ByteString): DirectoryHandle
  /** The same, made if need be. */
  ensure(path: ByteString): DirectoryHandle
}

/** @param modes takes the former modes of directories whose owner had to be allowed to write in them */
export async function inDirectories(
  root: string,
  modes: Map<ByteString, number>,
  work: (access: DirectoryAccess) => Promise<void> | void,
): Promise<void> {
  const cursor = createDirectoryCursor(toBytePath(root), openRealRoot)
  const openForWriting = (path: ByteString): DirectoryHandle => {
    const handle = cursor.open(path)
    const { mode, uid } = fstatSync(handle.fd)
    if ((mode & 0o300) !== 0o300 && uid === process.geteuid?.() && uid !== 0) {
      if (!modes.has(path)) modes.set(path, mode & 0o7777)
      fchmodSync(handle.fd, (mode & 0o7777) | 0o700)
    }
    return handle
  }
  const ensure = (path: ByteString): DirectoryHandle => {
    if (path === '') return openForWriting(path)
    try {
      return openForWriting(path)
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error
    }
    const parent = ensure(parentOf(path))
    const file = childPath(parent, nameOf(path))
    mkdirSync(file)
    const owner = process.getuid?.() === 0 ? fstatSync(parent.fd) : null
    if (owner !== null) lchownSync(file, owner.uid, owner.gid)
    return openForWriting(path)
  }
  try {
    await work({ cursor, openForWriting, ensure })
  } finally {
    cursor.close()
  }
}

export function explained(path: ByteString, work: () => void): void {
  try {
    work()
  } catch (error) {
    throw explainChange(path, error)
  }
}

/** What only somebody else's change since the preflight can bring about becomes `CONFLICT`. */
export function explainChange(path: ByteString, error: unknown): unknown {
  const isChange = ['ENOENT', 'ENOTDIR', 'ELOOP', 'EEXIST', 'EISDIR', 'ENOTEMPTY'].includes(
    errnoOf(error) ?? '',
  )
  return isChange
    ? changedMeanwhile(path, error)
    : toWorkspaceError(error, 'change, in the workspace,', shownPath(path))
}

export function changedMeanwhile(path: ByteString, cause?: unknown): WorkspaceError {
  const shown = shownPath(path)
  return new WorkspaceError(
    'CONFLICT',
    `${JSON.stringify(shown)} changed while the rollback was at work. Stop what changes it, then roll back again.`,
    { cause, details: { paths: [shown] } },
  )
}
