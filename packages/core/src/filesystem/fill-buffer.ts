import { readSync } from 'node:fs'

/** Reads at a position. @returns how many bytes: fewer than asked for when the file ends. @throws `NodeJS.ErrnoException` */
export function fillBuffer(
  fd: number,
  buffer: Uint8Array,
  offset: number,
  length: number,
  position: number,
): number {
  let done = 0
  while (done < length) {
    const count = readSync(fd, buffer, offset + done, length - done, position + done)
    if (count === 0) break
    done += count
  }
  return done
}
