import { closeSync, constants, fchmodSync, fstatSync, ftruncateSync, futimesSync, openSync } from 'node:fs'
import { toFilePath, type ByteString } from '../../../filesystem/directory-handle.ts'
import { fileTime } from '../../../filesystem/file-time.ts'
import { writeAll } from '../../../filesystem/write-all.ts'
import { WorkspaceError } from '../../../errors.ts'
import { cutChunk } from '../../format/pack-reader.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'

/** Where the content of one chunk goes. Plain data, so that a thread can be given it. */
export interface Piece {
  readonly id: string
  /** In the raw frame. */
  readonly offset: number
  readonly length: number
  /** Number of the file within its batch. */
  readonly file: number
  /** An open directory of this process and the file's name in it. */
  readonly base: ByteString
  readonly name: ByteString
  readonly position: number
  /** For a file that consists of this piece: it is made, written and done. `null`: it is there and has its length. */
  readonly whole: FileFields | null
}

export interface FileFields {
  readonly mode: number
  readonly mtimeSeconds: number
  readonly mtimeNanoseconds: number
}

export interface FrameJob {
  readonly packId: string
  readonly frame: number
  readonly pieces: readonly Piece[]
}

export interface FrameResult {
  /** The pieces whose chunk is not what was written, by their number. */
  readonly damaged: readonly number[]
  readonly damage: WorkspaceError | null
  readonly files: readonly WrittenFile[]
}

/** What has come of a frame so far. @param from the number that the first piece of `next` has in the frame */
export function addResult(soFar: FrameResult, next: FrameResult, from = 0): FrameResult {
  return {
    damaged: [...soFar.damaged, ...next.damaged.map((number) => from + number)],
    damage: soFar.damage ?? next.damage,
    files: [...soFar.files, ...next.files],
  }
}

/** What identifies a file that is done, for the cache. */
export interface WrittenFile {
  readonly file: number
  readonly inode: bigint
  readonly ctimeNs: bigint
  readonly mtimeNs: bigint
}

const CREATE = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
const REOPEN = constants.O_WRONLY | constants.O_NOFOLLOW

/** Checks and writes pieces of one decoded frame, `from` the number of a piece, for about `sliceMs`. */
export function writePieces(
  job: FrameJob,
  raw: Uint8Array,
  keys: RepositoryKeys | null,
  from: number,
  sliceMs: number,
): { readonly next: number; readonly result: FrameResult } {
  const damaged: number[] = []
  let damage: WorkspaceError | null = null
  const files: WrittenFile[] = []
  const endsAt = performance.now() + sliceMs
  const file = openFiles()
  let checked: CheckedChunk | null = null
  let next = from
  try {
    for (; next < job.pieces.length; next += 1) {
      if (next > from && (next & 7) === 0 && performance.now() >= endsAt) break
      const piece = job.pieces[next]
      if (piece === undefined) break
      const { id, offset, length } = piece
      if (checked === null || checked.id !== id || checked.offset !== offset) {
        try {
          checked = {
            id,
            offset,
            bytes: cutChunk(job.packId, raw, { id, frame: job.frame, offset, length }, keys),
          }
        } catch (error) {
          if (!WorkspaceError.is(error, 'CORRUPT')) throw error
          damage ??= error
          damaged.push(next)
          checked = null
          continue
        }
      }
      if (piece.whole === null) writeAll(file.open(piece), checked.bytes, piece.position)
      else files.push({ file: piece.file, ...writeWhole(piece, piece.whole, checked.bytes) })
    }
  } finally {
    file.close()
  }
  return { next, result: { damaged, damage, files } }
}

/** Keeps the file of the last piece open for the next one. */
function openFiles(): { open(piece: Piece): number; close(): void } {
  let last: { readonly number: number; readonly fd: number } | null = null
  const close = (): void => {
    if (last !== null) closeSync(last.fd)
    last = null
  }
  return {
    close,
    open(piece) {
      if (last?.number === piece.file) return last.fd
      close()
      const fd = openSync(toFilePath(`${piece.base}/${piece.name}`), REOPEN)
      last = { number: piece.file, fd }
      return fd
    },
  }
}

interface CheckedChunk {
  readonly id: string
  readonly offset: number
  readonly bytes: Uint8Array
}

function writeWhole(piece: Piece, fields: FileFields, bytes: Uint8Array): Omit<WrittenFile, 'file'> {
  const fd = openSync(toFilePath(`${piece.base}/${piece.name}`), CREATE, fields.mode)
  try {
    writeAll(fd, bytes, 0)
    return finishFile(fd, fields)
  } finally {
    closeSync(fd)
  }
}

/** Makes a file of this length that consists of a hole. */
export function createFile(path: string | Buffer, size: number): number {
  const fd = openSync(path, CREATE, 0o600)
  try {
    if (size > 0) ftruncateSync(fd, size)
    return fd
  } catch (error) {
    closeSync(fd)
    throw error
  }
}

export function finishFile(fd: number, fields: FileFields): Omit<WrittenFile, 'file'> {
  const time = fileTime(fields.mtimeSeconds, fields.mtimeNanoseconds)
  futimesSync(fd, time, time)
  let stats = fstatSync(fd, { bigint: true })
  // Most come with the right mode; the umask or the directory's default rights may have said otherwise.
  if ((Number(stats.mode) & 0o7777) !== fields.mode) {
    fchmodSync(fd, fields.mode)
    stats = fstatSync(fd, { bigint: true })
  }
  return { inode: stats.ino, ctimeNs: stats.ctimeNs, mtimeNs: stats.mtimeNs }
}
