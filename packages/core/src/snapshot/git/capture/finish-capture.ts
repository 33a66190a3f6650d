import { randomUUID } from 'node:crypto'
import type { Snapshot } from '../../snapshot.ts'
import { compareBytes, fromBytePath, type BytePath } from '../../byte-path.ts'
import type { CaptureState } from './capture-state.ts'
import type { Drift } from './capture-state-file.ts'
import { rememberPaths } from './keep-in-view.ts'
import { headOfNested, type NestedRepository } from '../user/nested-repository.ts'
import { recordUnheld, type OmittedPath } from '../private/omitted-paths.ts'
import type { GitWorkspace } from './read-contents.ts'
import { formatRef } from '../private/sidecar.ts'
import { logSnapshot } from '../private/snapshot-log.ts'

export interface Captured {
  readonly snapshot: Snapshot
  readonly state: CaptureState
  /** What may not be read, or has too long a path. */
  readonly unreadable: readonly BytePath[]
}

export interface Outcome {
  readonly last: CaptureState | null
  readonly state: CaptureState
  readonly nested: readonly NestedRepository[]
  readonly repository: string | null
  readonly omitted: readonly OmittedPath[]
  readonly absent: readonly BytePath[]
  readonly unstable?: ReadonlySet<BytePath>
  readonly touched: readonly BytePath[] | null
}

/** Describes what was captured, and notes it. */
export function finishCapture(
  workspace: GitWorkspace,
  { label, isPassing }: { readonly label: string; readonly isPassing?: boolean | undefined },
  { last, state, nested, repository, omitted, absent, unstable = new Set(), touched }: Outcome,
): Captured {
  const { head, dirty } = state
  const id = randomUUID()
  const snapshot: Snapshot = {
    id,
    backend: 'git',
    path: workspace.path,
    ref: formatRef(state.tree, state.sidecar),
    label,
    capturedAt: new Date().toISOString(),
    metadata: {
      entries: state.entries.size + state.leafDirectories.size,
      head: head.commit,
      headRef: head.ref,
      dirty: dirty?.value ?? false,
      includesUntracked: true,
      tree: state.tree,
      ...(repository === null ? {} : { repository }),
      repositories: nested.map((repository) => {
        const found = headOfNested(repository)
        return {
          path: fromBytePath(repository.path),
          head: found?.commit ?? null,
          headRef: found?.ref ?? null,
        }
      }),
    },
    coverage: {
      captured: state.entries.size + state.leafDirectories.size,
      complete: omitted.length === 0 && unstable.size === 0,
      ...recordUnheld(workspace.own, id, omitted, absent),
      unstable: [...unstable].toSorted(compareBytes).map(fromBytePath),
    },
  }
  // First the log: what is in it keeps the objects that the saved state takes for stored.
  logSnapshot(workspace.own, snapshot)
  const toSave = last !== null && isSameState(last, state) ? last : state
  const drift = last === null || touched === null ? null : driftOf(last, state, touched)
  rememberPaths(state)
  if (isPassing === true) workspace.stateFile.hold(toSave, drift)
  else workspace.stateFile.save(toSave, drift)
  const unreadable = omitted.filter(({ reason }) => reason === 'unreadable').map(({ path }) => path)
  return { snapshot, state, unreadable }
}

function driftOf(
  last: CaptureState,
  { entries, directories }: CaptureState,
  touched: readonly BytePath[],
): Drift {
  let files = touched.length
  for (const [path, directory] of directories === last.directories ? [] : directories)
    if (last.directories.get(path) !== directory) files += 1
  return { files, bytes: touched.reduce((sum, path) => sum + (entries.get(path)?.size ?? 0), 0) }
}

/** Whether saving would only repeat what is stored. */
function isSameState(last: CaptureState, state: CaptureState): boolean {
  if (
    last.directories !== state.directories ||
    last.tree !== state.tree ||
    last.indexStamp !== state.indexStamp
  )
    return false
  if (last.nestedIndexStamp !== state.nestedIndexStamp || last.rulesStamp !== state.rulesStamp) return false
  if (last.head.commit !== state.head.commit || last.head.ref !== state.head.ref) return false
  if (last.sidecar !== state.sidecar || last.dirty?.key !== state.dirty?.key) return false
  return last.entries === state.entries
}
