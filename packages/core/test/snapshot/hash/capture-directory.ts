import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openHashBackend, type OpenHashBackendOptions } from '../../../src/snapshot/hash/open-hash-backend.ts'
import type { FileChange, Snapshot } from '../../../src/snapshot/snapshot.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'

/** A workspace with a hash backend of its own, both gone after the test. */
export async function openWorkspace(options: Partial<OpenHashBackendOptions> = {}) {
  const base = temporaryDirectory()
  const path = join(base, 'workspace')
  const stateDirectory = join(base, 'state')
  mkdirSync(path)
  const backend = await openHashBackend({ path, stateDirectory, ...options })
  return {
    base,
    path,
    stateDirectory,
    backend,
    capture: (): Promise<Snapshot> => backend.capture({ label: 'test' }),
    changes: async (from: Snapshot, to: Snapshot): Promise<string[]> =>
      (await backend.changes(from, to)).map(summarize),
  }
}

export function summarize(change: FileChange): string {
  return `${change.status} ${change.path}${change.renamedFrom === undefined ? '' : ` <- ${change.renamedFrom}`}`
}
