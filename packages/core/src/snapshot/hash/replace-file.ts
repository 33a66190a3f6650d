import { randomBytes } from 'node:crypto'
import { renameSync, rmSync, writeFileSync } from 'node:fs'

/**
 * Puts a private file (mode 0600) in place whole or not at all, as far as a process can die. Not flushed: what a power
 * failure damages is found by its digest when it is read.
 * @throws `NodeJS.ErrnoException`; the temporary file is gone by then.
 */
export function replaceFile(path: string, content: Uint8Array): void {
  const temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`
  try {
    writeFileSync(temporary, content, { flag: 'wx', mode: 0o600 })
    renameSync(temporary, path)
  } catch (error) {
    rmSync(temporary, { force: true })
    throw error
  }
}
