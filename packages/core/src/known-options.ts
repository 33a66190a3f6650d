import { WorkspaceError } from './errors.ts'

/** The names of an option interface; a name that is missing here does not compile. */
export type OptionNames<Options> = Readonly<Record<keyof Options, true>>

/**
 * Refuses options that a call does not have. Without types a misspelt `rollbackOnFailure` would be passed over, and
 * that nothing is undone would show when it is too late.
 * @throws `INVALID_INPUT` naming the option and those that exist
 */
export function assertKnownOptions<Options extends object>(
  call: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  if (typeof options !== 'object' || options === null) {
    throw new WorkspaceError('INVALID_INPUT', `${call} takes its options as an object.`)
  }
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(names, name))
  if (unknown === undefined) return
  throw new WorkspaceError(
    'INVALID_INPUT',
    `${call} has no option ${JSON.stringify(unknown.slice(0, 100))}. It has: ${Object.keys(names).join(', ')}.`,
    { details: { option: unknown.slice(0, 100) } },
  )
}
