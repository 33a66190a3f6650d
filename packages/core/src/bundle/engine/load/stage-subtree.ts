import { WorkspaceError } from '../../../errors.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../../filesystem/time-slice.ts'
import { pathText } from '../../../filesystem/path-text.ts'
import type { TreeEntry } from '../../format/tree-node.ts'
import type { LoadMemory } from './load-memory.ts'
import type { Selection } from '../read/path-selection.ts'
import type { TreeStage } from './stage-tree.ts'
import { childOf, type TreeDirectory, type TreeReader } from '../read/tree-reader.ts'

/** Makes everything (or what is selected) below a directory of the version in one that was just made. */
export async function stageSubtree(
  context: {
    readonly tree: TreeReader
    readonly stage: TreeStage
    readonly memory: Pick<LoadMemory, 'rowsOf'>
    readonly slice: TimeSlice
  },
  directory: TreeDirectory,
  number: number,
  selection: Selection,
): Promise<void> {
  const { tree, stage, memory, slice } = context
  const missing = new Set<ByteString>(selection === 'all' ? [] : selection.keys())
  let isWhole = true
  const onDamage = (error: unknown): void => {
    isWhole = false
    stage.reportDamage(directory, error)
  }
  for await (const part of partsOf(tree, directory, onDamage)) {
    const rows = memory.rowsOf(part)
    for (let index = 0; index < part.length; index += 1) {
      const entry = part[index]
      if (entry === undefined) break
      const pause = slice.pauseWhenDue()
      if (pause !== undefined) await pause
      const inner = selection === 'all' ? 'all' : selection.get(entry.name)
      if (inner === undefined) continue
      missing.delete(entry.name)
      const path = childOf(directory, entry.name)
      const place = { directory: number, name: entry.name, path, rows, index }
      if (entry.type === 'directory') {
        const { node, entriesBelow } = entry
        const made = stage.makeDirectory(place, entry)
        await stageSubtree(context, { path, node, entriesBelow, depth: directory.depth + 1 }, made, inner)
        stage.leaveDirectory(made)
      } else if (inner !== 'all') throw notInVersion(`${path}/${inner.keys().next().value ?? ''}`)
      else if (entry.type === 'symlink') stage.addSymlink(place, entry)
      else {
        const added = stage.addFile(place, entry, null)
        if (added !== undefined) await added
      }
    }
  }
  if (isWhole) for (const name of missing) throw notInVersion(childOf(directory, name))
}

/** A directory's entries in their parts; damage to it ends them early instead of ending the load. */
export async function* partsOf(
  tree: TreeReader,
  directory: TreeDirectory,
  onDamage: (error: unknown) => void,
): AsyncGenerator<readonly TreeEntry[], void, void> {
  try {
    for await (const part of tree.parts(directory)) yield part
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
