import type { OwnerAccess } from './owner-access.ts'
import type { CaptureForRollback, PresentState, RollbackSource } from './rollback-source.ts'

/**
 * Captures with what is closed to its own owner, which is opened for it and counts with the permissions that it had. What
 * the goal could not read either stays closed: nothing is to become of it.
 */
export async function captureOpened(
  source: RollbackSource,
  access: OwnerAccess,
  request: CaptureForRollback,
): Promise<PresentState> {
  const { goal } = request
  const capture = (label: string): Promise<PresentState> =>
    source.capture({ ...request, label, modes: new Map(access.modes) })
  const opens = ({ unreadable }: PresentState): boolean => {
    const wanted = unreadable.filter((path) => !goal.isLeftOut(path) && !goal.isUnread(path))
    return wanted.length > 0 && access.open(wanted)
  }
  access.open([])
  const { alsoRead } = source
  if (alsoRead !== undefined && access.isClosed([alsoRead.directory, ...alsoRead.files]))
    access.openTree(alsoRead.directory)
  let present = await capture(request.label)
  if (!opens(present)) return present
  // What comes to light in a directory that was opened may be closed as well. Nobody is given these captures.
  do present = await capture('rollback_check')
  while (opens(present))
  return capture(request.label)
}
