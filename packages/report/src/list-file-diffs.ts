import { decodePatch, type EntryState, type FileChange, type WorkspaceDiff } from '@ws/core'
import { formatSize } from './format-size.ts'
import { parsePatch, type Hunk } from './patch/parse-patch.ts'

export type FileStatus = 'added' | 'modified' | 'deleted' | 'renamed' | 'type-changed' | 'mode-changed'

/** One line of a summary and, where the patch has it, its content. A rename is one of them, not two. */
export interface FileDiff {
  readonly path: string
  readonly status: FileStatus
  readonly renamedFrom: string | null
  readonly before: EntryState | null
  readonly after: EntryState | null
  /** `null` when lines were not counted. */
  readonly insertions: number | null
  readonly deletions: number | null
  readonly isBinary: boolean
  /** A precious file: its content is in no patch. */
  readonly isRedacted: boolean
  readonly hunks: readonly Hunk[]
}

export interface DiffContent {
  readonly files: readonly FileDiff[]
  /** The bytes that the hunks point into; `null` when there is no patch at hand. */
  readonly patch: Uint8Array | null
}

/** Joins the list of changes with the patch, by path. `patch` stands in for one that the diff does not embed. */
export function listFileDiffs(
  diff: WorkspaceDiff,
  patch: Uint8Array | null = decodePatch(diff),
): DiffContent {
  const patches = new Map<string, { readonly hunks: Hunk[]; isBinary: boolean }>()
  for (const { path, hunks, isBinary } of patch === null ? [] : parsePatch(patch)) {
    const content = patches.get(path) ?? { hunks: [], isBinary: false }
    for (const hunk of hunks) content.hunks.push(hunk)
    content.isBinary ||= isBinary
    patches.set(path, content)
  }
  const deleted = new Map(
    diff.changes.filter((change) => change.status === 'deleted').map((change) => [change.path, change]),
  )
  const origins = renameOrigins(diff.changes, deleted)
  const moved = new Set(origins.values())
  const files = diff.changes
    .filter((change) => !moved.has(change))
    .map((change): FileDiff => {
      const { path, before, after, insertions, deletions } = change
      const origin = origins.get(change)
      if (origin !== undefined) {
        const isBinary = change.binary === true
        const same = { insertions: 0, deletions: 0, isBinary, isRedacted: false, hunks: [] }
        return { path, status: 'renamed', renamedFrom: origin.path, before: origin.before, after, ...same }
      }
      const content = patches.get(path) ?? { hunks: [], isBinary: false }
      const isBinary = change.binary ?? content.isBinary
      return {
        path,
        status: change.status,
        renamedFrom: null,
        before,
        after,
        insertions,
        deletions,
        isBinary,
        isRedacted: change.redacted === true,
        hunks: content.hunks,
      }
    })
  return { files, patch }
}

/** One added file for each deleted one at most; a second copy stays an addition. */
function renameOrigins(
  changes: readonly FileChange[],
  deleted: ReadonlyMap<string, FileChange>,
): Map<FileChange, FileChange> {
  const origins = new Map<FileChange, FileChange>()
  const taken = new Set<FileChange>()
  for (const change of changes) {
    const origin = change.renamedFrom === undefined ? undefined : deleted.get(change.renamedFrom)
    if (origin === undefined || taken.has(origin)) continue
    taken.add(origin)
    origins.set(change, origin)
  }
  return origins
}

/** Why there are no lines to show, and where they are; `null` when the patch is at hand or nothing changed. */
export function patchWhereabouts(diff: WorkspaceDiff, patch: Uint8Array | null): string | null {
  if (patch !== null || diff.changes.length === 0) return null
  const size = diff.patchBytes === null ? '' : ` (${formatSize(diff.patchBytes)})`
  const hash = diff.patchSha256 === null ? '' : ` Its SHA-256 is ${diff.patchSha256}.`
  if (diff.patchRef !== null)
    return `The patch${size} is in the artifact store under the key ${diff.patchRef}.${hash}`
  if (diff.patchOmitted)
    return `The patch${size} is over the cap for embedded patches and was left out: raise maxPatchBytes or pass an artifactStore to keep it.${hash}`
  if (diff.backend === 'hash')
    return 'The hash backend keeps no content, so it knows which files changed but not which lines.'
  return 'No patch was made for this diff: only modes, empty directories or precious files changed, or capturePatch was off.'
}

/** The path as people write it: that of an empty directory ends in a slash. */
export function shownPath({ path, before, after }: FileDiff): string {
  return (after ?? before)?.type === 'directory' ? `${path}/` : path
}

/** Lines over all files. A rename has none, though the diff that core makes counts its lines on both sides. */
export function countLines(files: readonly FileDiff[]): { insertions: number; deletions: number } {
  return files.reduce(
    (sum, file) => ({
      insertions: sum.insertions + (file.insertions ?? 0),
      deletions: sum.deletions + (file.deletions ?? 0),
    }),
    { insertions: 0, deletions: 0 },
  )
}
