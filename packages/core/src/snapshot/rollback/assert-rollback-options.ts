import { assertKnownOptions, type OptionNames } from '../../known-options.ts'
import type { RollbackOptions } from '../snapshot-backend.ts'
import { scopeOf } from './rollback-scope.ts'

/**
 * Refuses what a caller without types may pass: a rollback must not guess what was meant.
 * @throws `INVALID_INPUT` naming the option, `UNSAFE_PATH` for a path that leads out of the workspace
 */
export function assertRollbackOptions<Options extends Partial<RollbackOptions>>(
  call: string,
  options: Options,
  names: OptionNames<Options>,
): void {
  assertKnownOptions(call, options, names)
  scopeOf(options.paths)
}
