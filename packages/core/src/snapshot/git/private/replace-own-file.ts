import { renameSync, writeFileSync } from 'node:fs'
import { temporaryPath, type PrivateRepository } from './private-repository.ts'

/**
 * Puts a file of the private store in place whole or not at all. What a kill leaves of it is in the directory that the
 * next capture clears away. Not flushed: damage is found when the file is read.
 */
export function replaceOwnFile(own: PrivateRepository, path: string, content: Uint8Array | string): void {
  const temporary = temporaryPath(own)
  writeFileSync(temporary, content, { mode: 0o600, flag: 'wx' })
  renameSync(temporary, path)
}
