import { errnoOf } from '../filesystem/filesystem-error.ts'
import type { BundleSkip } from './bundle.ts'

const reasons: Readonly<Record<string, BundleSkip['reason']>> = {
  ENOENT: 'vanished',
  ENOTDIR: 'vanished',
  ELOOP: 'vanished',
  ESTALE: 'vanished',
  // A link that became something else before its text was read.
  EINVAL: 'vanished',
  EACCES: 'unreadable',
  EPERM: 'unreadable',
  EIO: 'unreadable',
  ETXTBSY: 'unreadable',
  ENXIO: 'special-file',
  ENODEV: 'special-file',
  ENAMETOOLONG: 'unsupported-name',
}

/** Why something is left out of a save. @throws the error itself when it is not about the one path (no descriptors left) */
export function skipReason(error: unknown): BundleSkip['reason'] {
  const reason = reasons[errnoOf(error) ?? '']
  if (reason === undefined) throw error
  return reason
}
