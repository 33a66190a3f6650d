import type { TreeReader } from '../../bundle/engine/read/tree-reader.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { joinPath, parentOf, toBytePath } from '../byte-path.ts'
import type { SnapshotFacts } from './workspace-versions.ts'

export interface AlteredTree {
  readonly tree: Pick<TreeReader, 'entries' | 'runs'>
  /** Whether something in a directory, or below, has other permissions than its node says. */
  readonly isAltered: (directory: ByteString) => boolean
  /** `undefined`: those that the tree says. */
  readonly rootMode: number | undefined
}

/** A tree in which some paths have other permission bits than it was saved with. */
export function withOtherModes(reader: TreeReader, list: SnapshotFacts['modes'] = []): AlteredTree {
  const modes = new Map(list.map(([path, mode]) => [toBytePath(path), mode]))
  const altered = new Set<ByteString>()
  for (let path of modes.keys())
    while (path !== '') {
      path = parentOf(path)
      altered.add(path)
    }
  return {
    tree: {
      runs: (path, file) => reader.runs(path, file),
      async *entries(directory) {
        for await (const entry of reader.entries(directory)) {
          const mode = altered.has(directory.path)
            ? modes.get(joinPath(directory.path, entry.name))
            : undefined
          yield mode === undefined ? entry : { ...entry, mode }
        }
      },
    },
    isAltered: (directory) => altered.has(directory),
    rootMode: modes.get(''),
  }
}
