import { execFile } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Measurement, Suite } from '../measurement.ts'
import { writeMixedTree } from '../mixed-tree.ts'

const child = fileURLToPath(new URL('../memory-child.ts', import.meta.url))
const TARGET_MB = 220

/** Peak memory of a whole process, Node included, on a tree that is much bigger than it. */
export const memorySuite: Suite = {
  name: 'memory',
  async run({ directory, isQuick, log }) {
    const megabytes = isQuick ? 100 : 1024
    const tree = join(directory, 'tree')
    const archive = join(directory, 'tree.tar.zst')
    mkdirSync(tree)
    log(`writing a mixed tree of ${megabytes} MB`)
    writeMixedTree(tree, megabytes * 1024 ** 2)
    const measure = async (name: string, ...task: string[]): Promise<Measurement> => {
      const { stdout } = await promisify(execFile)(process.execPath, [
        '--conditions=@ws/source',
        child,
        ...task,
      ])
      const ours = Number(stdout) / 1024
      return {
        suite: 'memory',
        name: `${name} of ${megabytes} MB, peak of the process`,
        unit: 'MB',
        ours,
        peer: null,
        samples: 1,
        target: TARGET_MB,
      }
    }
    return [
      await measure('createBundle', 'create', tree, archive),
      await measure('extractBundle', 'extract', archive, join(directory, 'out')),
      await measure('hash snapshot', 'hash', tree, join(directory, 'state')),
    ]
  },
}
