import { closeSync, constants, openSync } from 'node:fs'
import { Buffer } from 'node:buffer'
import { childPath, type ByteString, type DirectoryHandle } from '../../../filesystem/directory-handle.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import { fillBuffer } from '../../../filesystem/fill-buffer.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { contentIdOf } from '../../format/content-id.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import type { Run } from '../../format/tree-node.ts'

export const READ = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK
const BUFFER_BYTES = 1024 * 1024

/** A file that is to be looked into; `null` when it cannot be, and so counts as different. */
export function openPresent(directory: DirectoryHandle, name: ByteString): number | null {
  try {
    return openSync(childPath(directory, name), READ)
  } catch (error) {
    const errno = errnoOf(error)
    if (errno === 'EMFILE' || errno === 'ENFILE' || errno === 'ENOMEM' || errno === undefined) throw error
    return null
  }
}

/** Compares the content of open files with what a version says about it. */
export function createContentCheck(keys: RepositoryKeys | null, slice: TimeSlice) {
  let buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)

  /** The bytes at a position, or `null` when the file ends before. Valid until the next call. */
  function read(fd: number, position: number, length: number): Buffer | null {
    if (buffer.length < length) buffer = Buffer.allocUnsafeSlow(length)
    return fillBuffer(fd, buffer, 0, length, position) < length ? null : buffer.subarray(0, length)
  }

  return {
    /** The bytes of a chunk, when they are there. */
    chunkAt(fd: number, position: number, run: Run): Buffer | null {
      const bytes = read(fd, position, run.length)
      return bytes !== null && contentIdOf(bytes, keys) === run.id ? bytes : null
    },
    async holds(fd: number, runs: AsyncIterable<Run> | readonly Run[]): Promise<boolean> {
      let position = 0
      for await (const run of runs) {
        if (run.kind === 'zeros') {
          for (let done = 0; done < run.length; done += BUFFER_BYTES) {
            const bytes = read(fd, position + done, Math.min(BUFFER_BYTES, run.length - done))
            if (bytes === null || !isZero(bytes)) return false
            await slice.pauseWhenDue()
          }
        } else if (this.chunkAt(fd, position, run) === null) return false
        position += run.length
        await slice.pauseWhenDue()
      }
      return true
    },
  }
}

export type ContentCheck = ReturnType<typeof createContentCheck>

const zeros = Buffer.alloc(BUFFER_BYTES)

function isZero(bytes: Buffer): boolean {
  return bytes.equals(zeros.subarray(0, bytes.length))
}

export function closePresent(fd: number | null): void {
  if (fd !== null) closeSync(fd)
}
