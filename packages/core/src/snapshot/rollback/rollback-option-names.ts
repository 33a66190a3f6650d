import type { OptionNames } from '../../known-options.ts'
import { isFlag, isFunction, isOneOf, isSignal, isTextList } from '../../option-checks.ts'
import type { RollbackOptions } from '../snapshot-backend.ts'
import type { Snapshot } from '../snapshot.ts'

export const rollbackOptionNames: OptionNames<RollbackOptions> = {
  dryRun: isFlag,
  paths: isTextList,
  expected: (value) => (typeof (value as Partial<Snapshot> | null)?.ref === 'string' ? null : 'a snapshot'),
  onForeignEdits: isOneOf('refuse', 'keep', 'merge', 'overwrite'),
  restoreGit: isFlag,
  onProgress: isFunction,
  signal: isSignal,
}
