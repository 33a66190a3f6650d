import { WorkspaceError } from '../errors.ts'

/**
 * A stream that refuses a second reader, who would find it ended and take it for an empty one.
 * @param call that gives another one
 */
export function readableOnce<T>(
  chunks: AsyncGenerator<T, void, void>,
  what: string,
  call: string,
): AsyncIterable<T> {
  let isTaken = false
  return {
    [Symbol.asyncIterator]() {
      if (isTaken) throw new WorkspaceError('INVALID_INPUT', `${what} was read already. Call ${call} again.`)
      isTaken = true
      return chunks
    },
  }
}
