import { WorkspaceError } from '../errors.ts'

/** That a workspace without a store was asked for versions. */
export function noStore(id: string, verb: string): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `The workspace ${id} has no store, so it cannot ${verb}. Pass one: new Workspace({ id, path, store: localStore({ root }) }).`,
    { details: { option: 'store' } },
  )
}
