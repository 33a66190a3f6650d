import { WorkspaceError } from '../errors.ts'

/**
 * For what would fail in the middle under the permission model of Node, which lets nobody set the permissions and times of
 * an open file, whatever it is told to allow. By a path they cannot be set without following what may be a link by then.
 * @param action as the beginning of a sentence
 * @throws `UNSUPPORTED`
 */
export function refusePermissionModel(action: string): void {
  if (!('permission' in process)) return
  throw new WorkspaceError(
    'UNSUPPORTED',
    `${action} needs permissions and times of open files to be set, which the permission model of Node allows to nobody. Start Node without --permission.`,
  )
}
