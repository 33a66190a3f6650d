import { mkdirSync, readFileSync, readdirSync, rmSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { createDirectoryCursor } from '../../bundle/engine/directory-cursor.ts'
import { childPath, toFilePath, type ByteString } from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import { toBytePath } from '../git/byte-path.ts'
import { replaceFile } from '../hash/replace-file.ts'
import type { BundleWorkspace } from './workspace-versions.ts'

interface JournalEntry {
  /** What the names of half-written files begin with: random, so that nothing else has such a name. */
  readonly prefix: string
  /** Where they are. */
  readonly parents: readonly ByteString[]
}

/** Notes where files are about to be written, for the case that this process is killed. */
export function openJournal(workspace: BundleWorkspace, entry: JournalEntry): { close(): void } {
  const path = journalPath(workspace)
  mkdirSync(workspace.cacheDirectory, { recursive: true, mode: 0o700 })
  replaceFile(path, Buffer.from(JSON.stringify(entry)))
  return { close: () => rmSync(path, { force: true }) }
}

/** Removes the files that a killed rollback was writing. Call it under the workspace's lock. */
export function sweepInterruptedRollback(workspace: BundleWorkspace): void {
  const path = journalPath(workspace)
  let text: string
  try {
    text = readFileSync(path, 'utf8')
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return
    throw error
  }
  const { prefix, parents } = parseEntry(text)
  const cursor = createDirectoryCursor(toBytePath(workspace.path))
  try {
    for (const parent of parents) {
      try {
        const handle = cursor.open(parent)
        for (const name of readdirSync(toFilePath(handle.base), { encoding: 'latin1' }))
          if (name.startsWith(prefix)) unlinkSync(childPath(handle, name))
      } catch (error) {
        if (!['ENOENT', 'ENOTDIR', 'ELOOP', 'EACCES'].includes(errnoOf(error) ?? '')) throw error
      }
    }
  } finally {
    cursor.close()
  }
  rmSync(path, { force: true })
}

function parseEntry(text: string): JournalEntry {
  try {
    const { prefix, parents } = JSON.parse(text) as JournalEntry
    if (/^\.ws-rollback-[0-9a-f]{16}-$/.test(prefix) && Array.isArray(parents)) return { prefix, parents }
  } catch {
    // A power failure damaged it; a name with such a prefix is then left over, and shows as an added file.
  }
  return { prefix: '.ws-rollback-', parents: [] }
}

function journalPath(workspace: BundleWorkspace): string {
  return join(workspace.cacheDirectory, 'rollback')
}
