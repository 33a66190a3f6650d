import { describeValue } from '../describe-value.ts'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { parsePreciousRules, type PreciousRules } from './precious-rules.ts'

/**
 * How much new content one capture takes. What is over a limit is left out and reported in the coverage; a rollback then
 * neither deletes nor overwrites it. What the repository's own packs hold already costs nothing and is not counted.
 */
export interface CaptureLimits {
  /**
   * The largest new file, in bytes. One that is captured already goes on being captured when it grows. @default 256 MiB: a
   * source file, a lock file or a small database is far below, a disk image or a model far above.
   */
  readonly maxFileBytes?: number | undefined
  /**
   * The most content, in bytes, that one capture reads and stores: by git of new and changed files, what is captured already
   * before what is new, and of that the smallest first; by bundle of new files, in the order in which they are found. What
   * was left out stays so under the same limits. @default 2 GiB: less than half of what the snapshots of a workspace may
   * take, and about half a minute of reading and compressing.
   */
  readonly maxDeltaBytes?: number | undefined
  /** The most files whose content one capture reads, of the same ones. @default 500_000 */
  readonly maxFiles?: number | undefined
}

export type FilledLimits = Readonly<Record<keyof CaptureLimits, number>>

export interface CapturePolicyOptions {
  /** See {@link CaptureLimits}. @default those of each limit */
  readonly limits?: CaptureLimits | undefined
  /**
   * Files to capture although they are ignored, such as `.env`: names, or paths from the workspace on, with `*`, `?` and
   * `**`. A name counts outside of ignored directories; a path leads into them. They are secret: diffs name them, but
   * patches, and so artifacts, leave out their content. @default none
   */
  readonly precious?: readonly string[] | undefined
}

export interface CapturePolicy {
  readonly limits: FilledLimits
  readonly precious: PreciousRules
}

const limitNames: OptionNames<CaptureLimits> = { maxFileBytes: true, maxDeltaBytes: true, maxFiles: true }

const MEBIBYTE = 1024 ** 2

/** @throws `INVALID_INPUT` for a limit that is no number of 1 or more, or an unusable pattern */
export function fillCapturePolicy({ limits = {}, precious = [] }: CapturePolicyOptions): CapturePolicy {
  assertKnownOptions('limits', limits, limitNames)
  const { maxFileBytes = 256 * MEBIBYTE, maxDeltaBytes = 2048 * MEBIBYTE, maxFiles = 500_000 } = limits
  const filled = { maxFileBytes, maxDeltaBytes, maxFiles }
  for (const [name, value] of Object.entries(filled)) {
    if (typeof value === 'number' && value >= 1) continue
    throw new WorkspaceError(
      'INVALID_INPUT',
      `limits.${name} must be a number of 1 or more, not ${describeValue(value)}.`,
      {
        details: { option: name },
      },
    )
  }
  return { limits: filled, precious: parsePreciousRules(precious) }
}
