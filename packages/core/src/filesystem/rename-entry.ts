import type { Buffer } from 'node:buffer'
import { closeSync, constants, fstatSync, openSync, renameSync } from 'node:fs'
import { errnoOf } from './filesystem-error.ts'
import { OPEN_ENTRY, setModeOfEntry } from './open-accessible.ts'

/**
 * Renames, also a directory whose own mode forbids it: moving a directory to another parent writes its `..`, for which
 * an owner without privileges needs its write bit. The mode is the old one afterwards.
 */
export function renameEntry(from: string | Buffer, to: string | Buffer): void {
  try {
    renameSync(from, to)
    return
  } catch (error) {
    if (errnoOf(error) !== 'EACCES') throw error
    let fd: number
    try {
      fd = openSync(from, OPEN_ENTRY | constants.O_DIRECTORY)
    } catch {
      throw error
    }
    try {
      const mode = fstatSync(fd).mode & 0o7777
      if ((mode & 0o200) !== 0) throw error
      setModeOfEntry(fd, mode | 0o200)
      try {
        renameSync(from, to)
      } finally {
        setModeOfEntry(fd, mode)
      }
    } finally {
      closeSync(fd)
    }
  }
}
