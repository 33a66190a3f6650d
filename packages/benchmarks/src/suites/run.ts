import { join } from 'node:path'
import { executeRun, Workspace } from '@ws/core'
import { takeTurns, type Measurement, type Suite } from '../measurement.ts'
import { commitTree, copyProjectTree, packObjects } from '../trees/project-tree.ts'
import { shell } from '../shell.ts'

/** What wrapping an agent costs when the agent does nothing. */
export const runSuite: Suite = {
  name: 'run',
  async run({ directory, samples, log }) {
    const path = join(directory, 'repository')
    await copyProjectTree(path, log)
    await commitTree(path)
    await packObjects(path)
    const workspace = new Workspace({ id: 'bench', path, stateDir: join(directory, 'state') })
    const times = await takeTurns(samples, {
      status: { run: () => shell('git status --porcelain=v2 -uall >/dev/null', path) },
      git: { run: () => executeRun(workspace, async () => undefined) },
      hash: { run: () => executeRun(workspace, async () => undefined, { strategy: 'hash' }) },
    })
    const line = (name: string, ours: number): Measurement => ({
      suite: 'run',
      name,
      unit: 'ms',
      ours,
      peer: { name: 'git status --porcelain=v2 -uall, once', value: times.status },
      samples,
      target: null,
    })
    return {
      measurements: [
        line('executeRun of an agent that does nothing, git', times.git),
        line('executeRun of an agent that does nothing, hash without node_modules', times.hash),
      ],
    }
  },
}
