import type { ByteString } from '../../filesystem/directory-handle.ts'
import { errnoOf } from '../../filesystem/filesystem-error.ts'
import type { BundleReport, BundleSkip } from '../bundle.ts'
import { pathText } from '../../filesystem/path-text.ts'

interface ArchiveTotals {
  files: number
  directories: number
  symlinks: number
  hardLinks: number
  contentBytes: number
}

/** What an archiver has put in and left out. */
export interface ArchiveNotes {
  readonly totals: ArchiveTotals
  readonly excluded: string[]
  readonly skipped: BundleSkip[]
  readonly unstable: string[]
}

export function emptyNotes(): ArchiveNotes {
  const totals = { files: 0, directories: 0, symlinks: 0, hardLinks: 0, contentBytes: 0 }
  return { totals, excluded: [], skipped: [], unstable: [] }
}

export function archiveReport(notes: ArchiveNotes, archiveBytes: number): BundleReport {
  return {
    ...notes.totals,
    archiveBytes,
    excluded: notes.excluded.sort(),
    skipped: notes.skipped,
    unstable: notes.unstable,
  }
}

/** @throws the error when it is none that leaves a file out */
export function noteSkipped(notes: ArchiveNotes, path: ByteString, error: unknown): void {
  const errno = errnoOf(error)
  const reasons: Record<string, BundleSkip['reason']> = {
    ENOENT: 'vanished',
    ENOTDIR: 'vanished',
    ELOOP: 'vanished',
    ESTALE: 'vanished',
    EACCES: 'unreadable',
    EPERM: 'unreadable',
    EIO: 'unreadable',
    ETXTBSY: 'unreadable',
    ENXIO: 'special-file',
    ENAMETOOLONG: 'unsupported-name',
  }
  const reason = errno === undefined ? undefined : reasons[errno]
  if (reason === undefined) throw error
  notes.skipped.push({ path: pathText(path), reason })
}
