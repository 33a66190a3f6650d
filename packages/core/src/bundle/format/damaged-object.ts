import { WorkspaceError } from '../../errors.ts'

export const VERIFY_ADVICE = 'Verify the workspace to see which files are hit.'

/**
 * What a decoder throws for bytes that are not what was written.
 * @param object names the stored object, and the piece of it: `pack 0a1b…, frame 3`
 */
export function damagedObject(object: string, reason: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError('CORRUPT', `The ${object} is damaged: ${reason}. ${VERIFY_ADVICE}`, {
    details: { object, reason },
    ...(cause === undefined ? {} : { cause }),
  })
}
