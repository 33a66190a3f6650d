import { readdirSync, type Dirent } from 'node:fs'
import { joinPath, nativePath, type BytePath } from '../../byte-path.ts'
import { lstatIfAllowed } from '../table/file-stamp.ts'
import { readRegularFile } from '../private/read-regular-file.ts'

/** A merge, rebase, cherry-pick, revert or `am` that is in progress: the files that git keeps of it, by their names. */
export type RepositoryOperation = Readonly<Record<string, OperationFile>>

interface OperationFile {
  readonly mode: number
  /** Base64. */
  readonly content: string
}

const files = [
  'AUTO_MERGE',
  'CHERRY_PICK_HEAD',
  'MERGE_HEAD',
  'MERGE_MODE',
  'MERGE_MSG',
  'REBASE_HEAD',
  'REVERT_HEAD',
  'SQUASH_MSG',
]
export const operationDirectories: readonly string[] = ['rebase-apply', 'rebase-merge', 'sequencer']
const MAX_BYTES = 4 << 20
const MAX_FILES = 2000

/** @returns `null` when it is larger than what is recorded, or not made of plain files */
export function readOperation(gitDirectory: BytePath): RepositoryOperation | null {
  const found: Record<string, OperationFile> = {}
  let bytes = 0
  const take = (name: string): boolean => {
    const path = nativePath(joinPath(gitDirectory, name))
    const stats = lstatIfAllowed(path)
    if (stats === null) return true
    if (stats === 'denied' || !stats.isFile()) return false
    const content = readRegularFile(path, { maxBytes: MAX_BYTES })
    if (content === null || (bytes += content.length) > MAX_BYTES) return false
    found[name] = { mode: Number(stats.mode & 0o777n), content: content.toString('base64') }
    return Object.keys(found).length <= MAX_FILES
  }
  for (const name of files) if (!take(name)) return null
  for (const directory of operationDirectories) {
    const path = nativePath(joinPath(gitDirectory, directory))
    const stats = lstatIfAllowed(path)
    if (stats === null) continue
    if (stats === 'denied' || !stats.isDirectory()) return null
    let items: Dirent[]
    try {
      items = readdirSync(path, { withFileTypes: true, encoding: 'latin1' })
    } catch {
      return null
    }
    if (items.length > MAX_FILES) return null
    for (const { name } of items) if (!take(`${directory}/${name}`)) return null
  }
  return found
}

/** What somebody calls it. */
export function operationsIn(operation: RepositoryOperation): string[] {
  const names = Object.keys(operation)
  const has = (start: string): boolean => names.some((name) => name.startsWith(start))
  const found: string[] = []
  if (has('MERGE_HEAD')) found.push('merge')
  if (has('CHERRY_PICK_HEAD')) found.push('cherry-pick')
  if (has('REVERT_HEAD')) found.push('revert')
  if (has('rebase-merge/') || has('rebase-apply/')) found.push('rebase')
  return found
}

/** Commits that nothing else may name, such as the stash that a rebase made of its own accord. */
export function commitsIn(operation: RepositoryOperation): Map<string, string> {
  const commits = new Map<string, string>()
  for (const [name, { content }] of Object.entries(operation)) {
    const text = Buffer.from(content, 'base64').toString('latin1').trim()
    if (/^(?:[0-9a-f]{40}|[0-9a-f]{64})$/.test(text)) commits.set(name, text)
  }
  return commits
}
