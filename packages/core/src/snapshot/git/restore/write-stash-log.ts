import { randomBytes } from 'node:crypto'
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'

/**
 * Makes the log of the stash the one that was recorded, byte for byte: git can only append to a log, and whoever lets it
 * expire leaves a stash whose log has no beginning, or none at all.
 * @param log Latin-1; empty for none
 */
export function writeStashLog(commonDirectory: string, log: string): void {
  const path = join(commonDirectory, 'logs/refs/stash')
  if (log === '') {
    rmSync(path, { force: true })
    return
  }
  mkdirSync(dirname(path), { recursive: true })
  const temporary = `${path}.ws-rollback-${randomBytes(4).toString('hex')}`
  writeFileSync(temporary, Buffer.from(log, 'latin1'), { flag: 'wx' })
  renameSync(temporary, path)
}
