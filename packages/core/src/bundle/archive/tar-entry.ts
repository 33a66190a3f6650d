import type { Buffer } from 'node:buffer'
import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { corrupt } from './archive-error.ts'
import type { SparseSegment } from './sparse-map.ts'
import { readText } from './tar-fields.ts'
import { MAX_TAR_PATH_BYTES } from './tar-header.ts'

export interface TarEntry {
  /** As the archive has it, without the end of slashes of a directory; not yet checked to be safe. */
  readonly path: ByteString
  readonly type: 'file' | 'directory' | 'symlink' | 'hard-link' | 'device'
  readonly mode: number
  /** Seconds, with a fraction. */
  readonly mtime: number
  /** Of the file as it will be; 0 for everything else. */
  readonly size: number
  readonly linkPath: ByteString
  /** Where the content goes in the file; `null` when it is all there. */
  readonly segments: readonly SparseSegment[] | null
}

export function entryType(flag: string): { type: TarEntry['type']; isOldSparse: boolean } {
  const types: Readonly<Record<string, TarEntry['type']>> = {
    '\0': 'file',
    '0': 'file',
    '7': 'file',
    S: 'file',
    '1': 'hard-link',
    '2': 'symlink',
    '3': 'device',
    '4': 'device',
    '5': 'directory',
    '6': 'device',
  }
  const type = types[flag]
  if (type === undefined) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The archive has an entry of the unknown type ${JSON.stringify(flag)}. Nothing was changed; make it with plain tar.`,
    )
  }
  return { type, isOldSparse: flag === 'S' }
}

/** The prefix field exists in POSIX headers only; GNU's keep times and sparse maps there. */
export function headerPath(block: Buffer, isOldSparse: boolean): ByteString {
  const name = readText(block, 0, 100)
  const isPosix = block.toString('latin1', 257, 263) === 'ustar\0'
  const prefix = isPosix && !isOldSparse ? readText(block, 345, 155) : ''
  return prefix === '' ? name : `${prefix}/${name}`
}

export function longName(data: Buffer): ByteString {
  const end = data.indexOf(0)
  const rest = end === -1 ? data.subarray(data.length) : data.subarray(end)
  if (rest.some((byte) => byte !== 0)) throw corrupt('a long name holds a NUL')
  return data.toString('latin1', 0, end === -1 ? data.length : end)
}

export function checkedPath(path: ByteString): ByteString {
  if (path.length <= MAX_TAR_PATH_BYTES) return path
  throw new WorkspaceError(
    'QUOTA_EXCEEDED',
    `The archive has a name of ${path.length} bytes; at most ${MAX_TAR_PATH_BYTES} are allowed. Nothing was changed.`,
  )
}
