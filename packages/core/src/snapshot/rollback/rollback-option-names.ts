import type { OptionNames } from '../../known-options.ts'
import type { RollbackOptions } from '../snapshot-backend.ts'

export const rollbackOptionNames: OptionNames<RollbackOptions> = {
  dryRun: true,
  paths: true,
  expected: true,
  onForeignEdits: true,
  restoreGit: true,
  onProgress: true,
  signal: true,
}
