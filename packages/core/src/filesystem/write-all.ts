import { writeSync } from 'node:fs'

/** @param position `null` for where the file is at */
export function writeAll(fd: number, bytes: Uint8Array, position: number | null): void {
  let done = 0
  while (done < bytes.length)
    done += writeSync(fd, bytes, done, bytes.length - done, position === null ? null : position + done)
}
