import { join } from 'node:path'
import { createBundleStore, Workspace } from '@ws/core'
import { localStore } from '@ws/store-local'
import type { BackupTool } from './backup-tools.ts'
import { runWorkspaceChild } from './run-workspace-child.ts'
import { megabytesIn } from './walk-tree.ts'

const traits = { programs: [], isIncremental: true, deduplicates: true, isExtra: false } as const

/** `save` and `load` as a host calls them: modules loaded, everything on disk when they return. */
export const warmWorkspace: BackupTool = {
  ...traits,
  name: 'ws',
  loadsOver: true,
  open(directory) {
    const store = createBundleStore(localStore({ root: join(directory, 'store') }))
    const stateDir = join(directory, 'state')
    const open = (path: string): Workspace => new Workspace({ id: 'bench', path, store, stateDir })
    return {
      initialize: async () => {},
      save: (tree) => open(tree).save('bench'),
      restore: (destination) => open(destination).load(),
      storedMegabytes: () => megabytesIn(join(directory, 'store')),
    }
  },
}

/** The same in a new process each time. */
export const coldWorkspace: BackupTool = {
  ...traits,
  name: 'ws, new process',
  open(directory) {
    const to = join(directory, 'store')
    const stateDirectory = join(directory, 'state')
    return {
      initialize: async () => {},
      save: (tree) => runWorkspaceChild({ task: 'save', directory: tree, to, stateDirectory }),
      restore: (destination) =>
        runWorkspaceChild({ task: 'load', directory: destination, to, stateDirectory }),
      storedMegabytes: () => megabytesIn(to),
    }
  },
}
