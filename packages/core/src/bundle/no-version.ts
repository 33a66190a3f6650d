import { WorkspaceError } from '../errors.ts'

/** That a workspace has not been saved, or has no version of that number. */
export function noVersion(workspaceId: string, version: number | undefined): WorkspaceError {
  const which = version === undefined ? 'no saved version' : `no version ${version}`
  return new WorkspaceError('NOT_FOUND', `The workspace ${workspaceId} has ${which}. Look at its history.`, {
    details: { workspaceId, ...(version === undefined ? {} : { version }) },
  })
}
