import { chmodSync, closeSync, constants, fstatSync, openSync, type BigIntStats } from 'node:fs'
import { WorkspaceError } from '../../../errors.ts'
import {
  childPath,
  toFilePath,
  type ByteString,
  type DirectoryHandle,
} from '../../../filesystem/directory-handle.ts'
import { OPEN_ENTRY } from '../../../filesystem/open-accessible.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import { skipReason } from '../../skip-reason.ts'
import { READ } from './check-file.ts'

/** False for a file that a save leaves out as `unreadable`. Tried, as a mode alone does not tell who is let in. */
export function isReadable(directory: DirectoryHandle, name: ByteString, stats: BigIntStats): boolean {
  if (!stats.isFile() || (isOwn(stats) && (stats.mode & 0o400n) !== 0n)) return true
  try {
    closeSync(openSync(childPath(directory, name), READ))
    return true
  } catch (error) {
    return skipReason(error) !== 'unreadable'
  }
}

/** Opens a file that is closed to its own owner, who is the one to open it; it is as closed as before afterwards. */
export function openClosedFile(directory: DirectoryHandle, name: ByteString): number | null {
  if (process.platform !== 'linux') return null
  let entry: number
  try {
    entry = openSync(childPath(directory, name), OPEN_ENTRY)
  } catch (error) {
    skipReason(error)
    return null
  }
  try {
    const stats = fstatSync(entry, { bigint: true })
    const mode = Number(stats.mode & 0o7777n)
    if (!stats.isFile() || !isOwn(stats) || (mode & 0o400) !== 0) return null
    const path = toFilePath(`/proc/self/fd/${entry}`)
    chmodSync(path, mode | 0o400)
    try {
      return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK)
    } finally {
      chmodSync(path, mode)
    }
  } finally {
    closeSync(entry)
  }
}

export function unreadable(path: ByteString): WorkspaceError {
  const shown = pathText(path)
  return new WorkspaceError(
    'CONFLICT',
    `Cannot load ${JSON.stringify(shown)}: what is there is closed to this user, so no save has taken it. Nothing was changed. Make it readable, or move it away.`,
    { details: { path: shown } },
  )
}

function isOwn({ uid }: BigIntStats): boolean {
  return uid === BigInt(process.geteuid?.() ?? 0)
}
