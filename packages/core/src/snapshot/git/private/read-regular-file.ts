import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs'

export interface ReadRegularFileOptions {
  readonly maxBytes: number
  /** Whether the last part of the path may be a link. @default false */
  readonly followLink?: boolean | undefined
  /** Whether other threads are to see the content. @default false */
  readonly isShared?: boolean | undefined
}

/** What cannot be had, for a reader that goes on without it. */
const withoutIt: ReadonlySet<string> = new Set([
  'ENOENT',
  'ENOTDIR',
  'ELOOP',
  'EACCES',
  'EPERM',
  'ENXIO',
  'ENAMETOOLONG',
  // A zero byte, which no path has.
  'ERR_INVALID_ARG_VALUE',
])

/**
 * The content of a file that somebody else may have put there: a pipe, a device, a link or an endless file in its place
 * neither blocks nor fills the memory.
 * @returns `null` when there is no regular file of at most `maxBytes` that may be read
 */
export function readRegularFile(path: string | Buffer, options: ReadRegularFileOptions): Buffer | null {
  const { maxBytes, followLink = false, isShared = false } = options
  const allocate = (size: number) =>
    isShared ? Buffer.from(new SharedArrayBuffer(size)) : Buffer.allocUnsafe(size)
  const flags = constants.O_RDONLY | constants.O_NONBLOCK | (followLink ? 0 : constants.O_NOFOLLOW)
  let file: number
  try {
    file = openSync(path, flags)
  } catch (error) {
    if (withoutIt.has((error as NodeJS.ErrnoException).code ?? '')) return null
    throw error
  }
  try {
    const stats = fstatSync(file)
    if (!stats.isFile() || stats.size > maxBytes) return null
    let content: Buffer = allocate(stats.size + 1)
    let length = 0
    for (;;) {
      const count = readSync(file, content, length, content.length - length, null)
      if (count === 0) return content.subarray(0, length)
      length += count
      if (length > maxBytes) return null
      if (length < content.length) continue
      const larger = allocate(length * 2)
      content.copy(larger)
      content = larger
    }
  } finally {
    closeSync(file)
  }
}
