import type { BytePath } from '../../byte-path.ts'

export interface StampNumbers {
  /** Of each row mode, size, and 1 where the content cannot have changed after it was read without a new stamp. */
  readonly numbers: Float64Array
  /** Of each row inode, mtime and ctime in nanoseconds. */
  readonly times: BigInt64Array
}

/** Paths in memory that threads share. */
export interface SharedPaths {
  /** All of them, in bytes, with a zero byte between two. */
  readonly text: Uint8Array
  /** Where each ends in it. */
  readonly ends: Uint32Array
}

export type SharedColumns = SharedPaths & StampNumbers

/** Fields of a row in each of the columns. */
export const FIELDS = 3

export function sharePaths(paths: readonly BytePath[], joined = paths.join('\0')): SharedPaths {
  const text = new Uint8Array(new SharedArrayBuffer(joined.length))
  Buffer.from(text.buffer).write(joined, 'latin1')
  const ends = new Uint32Array(new SharedArrayBuffer(paths.length * Uint32Array.BYTES_PER_ELEMENT))
  let end = -1
  for (const [row, path] of paths.entries()) ends[row] = end += path.length + 1
  return { text, ends }
}

const texts = new WeakMap<Uint8Array, BytePath>()

/** All paths in one text, with a zero byte between two. Made once: for thousands that takes a while. */
export function textOfPaths({ text }: SharedPaths): BytePath {
  const known = texts.get(text)
  if (known !== undefined) return known
  const made = Buffer.from(text.buffer, text.byteOffset, text.length).toString('latin1')
  texts.set(text, made)
  return made
}

/** Those of some rows that follow each other. */
export function sharedPathsOf({ text, ends }: SharedPaths, from: number, to: number): BytePath[] {
  const start = from === 0 ? 0 : (ends[from - 1] ?? 0) + 1
  return Buffer.from(text.buffer)
    .toString('latin1', start, ends[to - 1])
    .split('\0')
}

export function sharedNumbers(rows: number): StampNumbers {
  return {
    numbers: new Float64Array(new SharedArrayBuffer(rows * FIELDS * Float64Array.BYTES_PER_ELEMENT)),
    times: new BigInt64Array(new SharedArrayBuffer(rows * FIELDS * BigInt64Array.BYTES_PER_ELEMENT)),
  }
}

/** Those that are shared already are not copied. */
export function shareNumbers({ numbers, times }: StampNumbers, rows: number): StampNumbers {
  if (numbers.buffer instanceof SharedArrayBuffer && times.buffer instanceof SharedArrayBuffer)
    return { numbers, times }
  const shared = sharedNumbers(rows)
  shared.numbers.set(numbers)
  shared.times.set(times)
  return shared
}
