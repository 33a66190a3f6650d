import { WorkspaceError } from '../../errors.ts'
import { assertKnownOptions, type OptionNames } from '../../known-options.ts'
import type { RollbackOptions } from '../snapshot-backend.ts'
import { scopeOf } from './rollback-scope.ts'

const policies: readonly unknown[] = ['refuse', 'keep', 'merge', 'overwrite'] satisfies NonNullable<
  RollbackOptions['onForeignEdits']
>[]

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
  const { dryRun, expected, onForeignEdits, onProgress, paths, restoreGit } = options
  if (onForeignEdits !== undefined && !policies.includes(onForeignEdits))
    throw invalid(call, 'onForeignEdits', `one of ${policies.join(', ')}`)
  for (const [name, flag] of Object.entries({ dryRun, restoreGit }))
    if (flag !== undefined && typeof flag !== 'boolean') throw invalid(call, name, 'true or false')
  if (expected !== undefined && typeof (expected as Partial<typeof expected> | null)?.ref !== 'string')
    throw invalid(call, 'expected', 'a snapshot')
  if (onProgress !== undefined && typeof onProgress !== 'function')
    throw invalid(call, 'onProgress', 'a function')
  if (paths === undefined) return
  if (!Array.isArray(paths) || !paths.every((path) => typeof path === 'string'))
    throw invalid(call, 'paths', 'a list of texts')
  scopeOf(paths)
}

function invalid(call: string, option: string, wanted: string): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', `The option ${option} of ${call} must be ${wanted}.`, {
    details: { option },
  })
}
