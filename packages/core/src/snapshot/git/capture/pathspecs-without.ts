import { WorkspaceError } from '../../../errors.ts'
import { fromBytePath, type BytePath } from '../../byte-path.ts'

/** Below what every system takes as the arguments of a process. */
const MAX_BYTES = 1 << 20

/** Arguments that make git look at everything but some paths. @throws `UNSUPPORTED` for more than fit in a command */
export function pathspecsWithout(paths: ReadonlySet<BytePath>): string[] {
  if (paths.size === 0) return []
  const specs = [...paths].map((path) => {
    const text = fromBytePath(path)
    if (text.isWellFormed()) return `:(exclude,literal)${text}`
    // Arguments are UTF-8: a byte that is not stands for any.
    return `:(exclude,glob)${path.replace(/[*?[\\]/g, '\\$&').replace(/[\u0080-\u00ff]/g, '?')}`
  })
  if (specs.reduce((total, spec) => total + Buffer.byteLength(spec) + 1, 0) > MAX_BYTES) {
    throw new WorkspaceError(
      'UNSUPPORTED',
      `There is no patch without the content of ${paths.size} precious files: they are too many to name. Make fewer files precious, or switch capturePatch off.`,
    )
  }
  return ['--', '.', ...specs]
}
