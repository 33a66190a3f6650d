import { statSync } from 'node:fs'

/** Whether a pipe is there, also behind a link: git would wait for its other end, for ever. */
export function isPipe(file: string | Buffer): boolean {
  try {
    return statSync(file).isFIFO()
  } catch {
    return false
  }
}
