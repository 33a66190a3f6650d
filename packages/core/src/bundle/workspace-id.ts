import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'

const grammar = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/

/**
 * Checks the id that a workspace has in a bundle store: 1 to 128 characters, letters, digits, `.`, `_` and `-`,
 * starting with a letter or digit. An id is never used as a path.
 * @throws `INVALID_INPUT`
 */
export function assertWorkspaceId(id: string): void {
  if (typeof id === 'string' && grammar.test(id)) return
  const reason =
    id === '' || id === undefined
      ? 'a workspace needs one'
      : 'only letters, digits, ".", "_" and "-" are allowed, a letter or digit first, 128 characters at most'
  throw new WorkspaceError(
    'INVALID_INPUT',
    `The workspace id ${describeValue(id)} is not usable: ${reason}.`,
    {
      details: { id: typeof id === 'string' ? id : describeValue(id) },
    },
  )
}
