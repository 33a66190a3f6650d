import { WorkspaceError } from '../errors.ts'
import { futureRealPath, isInside } from '../filesystem/workspace-root.ts'

/**
 * Refuses a directory for a fork whose first load would replace that of the workspace it comes from: the same one, by
 * whatever name, or one above it.
 * @throws `INVALID_INPUT`
 */
export function refuseReplacing(path: string, fork: { readonly id: string; readonly path: string }): void {
  const [own, other] = [futureRealPath(path), futureRealPath(fork.path)]
  if (!isInside(other, own)) return
  const what = other === own ? 'the directory of this workspace' : 'a directory that holds this workspace'
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The fork ${fork.id} would have ${what}, ${own}, so that loading it replaces what is there. Give it a path of its own.`,
    { details: { option: 'path', path: fork.path } },
  )
}
