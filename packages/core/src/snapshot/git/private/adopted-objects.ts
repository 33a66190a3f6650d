import { appendFileSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { PrivateRepository } from './private-repository.ts'
import { replaceOwnFile } from './replace-own-file.ts'

/**
 * Which loose objects of the private repository are the user's. Once no snapshot needs such a one it is kept besides, for
 * `restoreGit`, as those are that no snapshot ever needed. Use it under the workspace's lock, and note them before they are
 * there.
 */
export function noteAdopted(own: PrivateRepository, ids: readonly string[]): void {
  // Begins a line of its own, whatever a killed capture left of its last one.
  if (ids.length > 0) appendFileSync(notePath(own), `\n${ids.join('\n')}\n`, { mode: 0o600 })
}

export function readAdopted(own: PrivateRepository): Set<string> {
  try {
    return new Set(readFileSync(notePath(own), 'latin1').split('\n'))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new Set()
    throw error
  }
}

export function forgetAdopted(own: PrivateRepository, gone: ReadonlySet<string>): void {
  const left = [...readAdopted(own)].filter((id) => id !== '' && !gone.has(id))
  replaceOwnFile(own, notePath(own), `${left.join('\n')}\n`)
}

function notePath(own: PrivateRepository): string {
  return join(own.directory, 'adopted')
}
