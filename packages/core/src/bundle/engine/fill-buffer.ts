import { readSync } from 'node:fs'

/** Fewer bytes than asked for when the file ends. @throws `NodeJS.ErrnoException` */
export function fillBuffer(
  fd: number,
  buffer: Buffer,
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
