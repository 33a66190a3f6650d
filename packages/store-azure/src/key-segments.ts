import { WorkspaceError } from '@ws/core'

/** What the service allows in the path of a blob's name. */
export const MAX_KEY_SEGMENTS = 254

/** @throws `INVALID_INPUT` */
export function assertSegments(key: string): void {
  const segments = key.split('/').length
  if (segments <= MAX_KEY_SEGMENTS) return
  const message = `The object key has ${segments} segments; Azure allows at most ${MAX_KEY_SEGMENTS}.`
  throw new WorkspaceError('INVALID_INPUT', message, { details: { key } })
}
