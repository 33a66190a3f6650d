import { assertWorkspaceId } from '../bundle/workspace-id.ts'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions } from '../known-options.ts'
import { fillCapturePolicy } from '../snapshot/capture-policy.ts'
import { workspaceOptionNames, type WorkspaceOptions } from './workspace-options.ts'

/** Callers need not be written in TypeScript. @throws `INVALID_INPUT` */
export function assertWorkspaceOptions(options: WorkspaceOptions): void {
  if (typeof options !== 'object' || options === null) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      'A workspace needs options: new Workspace({ id, path }). For a path alone there is Workspace.at(path).',
    )
  }
  assertKnownOptions('Workspace', options, workspaceOptionNames)
  const { id, path, store } = options
  assertWorkspaceId(id)
  if (store !== undefined && (typeof store !== 'object' || store === null)) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `The store of the workspace ${id} is no store. Make one first, for example with await openStore('memory:').`,
    )
  }
  if (typeof path !== 'string' || path === '')
    throw new WorkspaceError('INVALID_INPUT', `The workspace ${id} needs the path of a directory.`)
  fillCapturePolicy(options)
}
