import { WorkspaceError } from './errors.ts'
import { isSignal, type OptionCheck } from './option-checks.ts'

/**
 * The names of an option interface; a name that is missing here does not compile. With a check for values that would
 * otherwise be taken for something else; `true` leaves the value to the call itself.
 */
export type OptionNames<Options> = Readonly<Record<keyof Options, true | OptionCheck>>

/**
 * Refuses options that a call does not have, and values that they cannot have. Without types a misspelt
 * `rollbackOnFailure` would be passed over, and that nothing is undone would show when it is too late.
 * @throws `INVALID_INPUT` naming the option, and those that exist or what the value has to be
 */
export function assertKnownOptions<Options extends object>(
  call: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  // A signal in their place would be an object without options, and nothing would ever be cancelled.
  if (typeof options !== 'object' || options === null || isSignal(options) === null) {
    throw new WorkspaceError(
      'INVALID_INPUT',
      `${call} takes its options as an object, with: ${Object.keys(names).join(', ')}.`,
    )
  }
  for (const [name, value] of Object.entries(options)) {
    if (!Object.hasOwn(names, name)) throw unknownOption(call, name, Object.keys(names))
    const check = names[name as keyof Options]
    const wanted = check === true || value === undefined ? null : check(value)
    if (wanted !== null) throw wrongValue(call, name, { wanted, value })
  }
}

function unknownOption(call: string, name: string, known: readonly string[]): WorkspaceError {
  return new WorkspaceError(
    'INVALID_INPUT',
    `${call} has no option ${JSON.stringify(name.slice(0, 100))}. ${known.length === 0 ? 'It has none' : `It has: ${known.join(', ')}`}.`,
    { details: { option: name.slice(0, 100) } },
  )
}

/** Shows a value only where it is short and cannot be a secret in the wrong place. */
function wrongValue(
  call: string,
  option: string,
  { wanted, value }: { readonly wanted: string; readonly value: unknown },
): WorkspaceError {
  const isShown = value === null || typeof value === 'number' || typeof value === 'boolean'
  const given = isShown ? String(value) : describeUnshown(value)
  return new WorkspaceError(
    'INVALID_INPUT',
    `The option ${option} of ${call} must be ${wanted}, not ${given}.`,
    { details: { option } },
  )
}

function describeUnshown(value: unknown): string {
  if (typeof value === 'string') return value === '' ? 'an empty text' : `a text of length ${value.length}`
  return Array.isArray(value) ? 'a list' : `of type ${typeof value}`
}
