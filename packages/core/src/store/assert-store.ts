import { WorkspaceError } from '../errors.ts'

/**
 * Refuses what callers without types, or who have forgotten an `await`, give in the place of a store.
 * @param call what needs it
 * @throws `INVALID_INPUT`
 */
export function assertStore(call: string, store: unknown): void {
  const isGiven = typeof store === 'object' && store !== null
  if (isGiven && 'put' in store && 'list' in store && 'capabilities' in store) return
  const found = isGiven && 'then' in store ? 'a promise: await it first' : `of type ${typeof store}`
  throw new WorkspaceError(
    'INVALID_INPUT',
    `${call} needs a store, for example memoryStore() or await openStore(url); what it was given is ${found}.`,
    { details: { option: 'store' } },
  )
}
