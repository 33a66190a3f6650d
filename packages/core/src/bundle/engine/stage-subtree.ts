import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../filesystem/time-slice.ts'
import { pathText } from '../exclude-filter.ts'
import type { TreeEntry } from '../format/tree-node.ts'
import type { Selection } from './path-selection.ts'
import type { TreeStage } from './stage-tree.ts'
import { childOf, type TreeDirectory, type TreeReader } from './tree-reader.ts'

/** Makes everything (or what is selected) below a directory of the version in one that was just made. */
export async function stageSubtree(
  context: { readonly tree: TreeReader; readonly stage: TreeStage; readonly slice: TimeSlice },
  directory: TreeDirectory,
  number: number,
  selection: Selection,
): Promise<void> {
  const { tree, stage, slice } = context
  const missing = new Set<ByteString>(selection === 'all' ? [] : selection.keys())
  let isWhole = true
  const onDamage = (error: unknown): void => {
    isWhole = false
    stage.reportDamage(directory, error)
  }
  for await (const entry of entriesOf(tree, directory, onDamage)) {
    const pause = slice.pauseWhenDue()
    if (pause !== undefined) await pause
    const inner = selection === 'all' ? 'all' : selection.get(entry.name)
    if (inner === undefined) continue
    missing.delete(entry.name)
    const place = { directory: number, name: entry.name, path: childOf(directory, entry.name) }
    if (entry.type === 'directory') {
      const below = {
        path: place.path,
        node: entry.node,
        entriesBelow: entry.entriesBelow,
        depth: directory.depth + 1,
      }
      const made = stage.makeDirectory(place, entry)
      await stageSubtree(context, below, made, inner)
      stage.leaveDirectory(made)
    } else if (inner !== 'all') throw notInVersion(`${place.path}/${inner.keys().next().value ?? ''}`)
    else if (entry.type === 'symlink') stage.addSymlink(place, entry)
    else await stage.addFile(place, entry, null)
  }
  if (isWhole) for (const name of missing) throw notInVersion(childOf(directory, name))
}

/** A directory's entries; damage to it ends them early instead of ending the load. */
export async function* entriesOf(
  tree: TreeReader,
  directory: TreeDirectory,
  onDamage: (error: unknown) => void,
): AsyncGenerator<TreeEntry, void, void> {
  try {
    for await (const entry of tree.entries(directory)) yield entry
  } catch (error) {
    onDamage(error)
  }
}

export function notInVersion(path: ByteString): WorkspaceError {
  const shown = pathText(path)
  return new WorkspaceError(
    'NOT_FOUND',
    `The version has no ${JSON.stringify(shown)}. Nothing was changed; look for the path with diff or history.`,
    { details: { path: shown } },
  )
}
