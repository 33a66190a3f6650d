import { join } from 'node:path'
import type { Measurement, Suite } from '../measurement.ts'
import { runWorkspaceChild, type ChildTask } from '../run-workspace-child.ts'
import { writeLargeTree } from '../trees/workspace-trees.ts'

export const MEMORY_TARGET_MB = 220
const ARCHIVE_TARGET_MB = 200

/** Peak memory of a whole process, Node included, on a tree that is much bigger than it. */
export const memorySuite: Suite = {
  name: 'memory',
  async run({ directory, isQuick, log }) {
    const size = isQuick ? 'a small L' : 'L, 1 GB'
    const tree = join(directory, 'tree')
    await writeLargeTree(tree, log, isQuick ? 0.1 : 1)
    const archive = join(directory, 'tree.tar.zst')
    const store = join(directory, 'store')
    const stateDirectory = join(directory, 'state')
    const measure = async (name: string, given: ChildTask, target: number): Promise<Measurement> => ({
      suite: 'memory',
      name: `${name} of ${size}, peak of the process`,
      unit: 'MB',
      ours: await runWorkspaceChild(given),
      peer: null,
      samples: 1,
      target,
    })
    const place = (name: string): string => join(directory, name)
    const save = { task: 'save', directory: tree, to: store, stateDirectory } as const
    const load = { task: 'load', directory: place('loaded'), to: store, stateDirectory } as const
    return {
      measurements: [
        await measure('createBundle', { task: 'create', directory: tree, to: archive }, ARCHIVE_TARGET_MB),
        await measure(
          'extractBundle',
          { task: 'extract', directory: place('out'), to: archive },
          ARCHIVE_TARGET_MB,
        ),
        await measure(
          'hash snapshot',
          { task: 'hash', directory: tree, to: place('hash') },
          MEMORY_TARGET_MB,
        ),
        await measure('first save', save, MEMORY_TARGET_MB),
        await measure('load', load, MEMORY_TARGET_MB),
      ],
    }
  },
}
