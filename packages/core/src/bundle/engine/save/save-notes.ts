import type { ByteString } from '../../../filesystem/directory-handle.ts'
import type { BundleSkip } from '../../bundle.ts'
import { pathText } from '../../../filesystem/path-text.ts'

/** What a save leaves out, as it is found. */
export interface SaveNotes {
  readonly excluded: string[]
  readonly skipped: BundleSkip[]
  readonly unstable: string[]
  exclude(path: ByteString): void
  skip(path: ByteString, reason: BundleSkip['reason']): void
  unsettle(path: ByteString): void
}

export function createSaveNotes(): SaveNotes {
  const notes: SaveNotes = {
    excluded: [],
    skipped: [],
    unstable: [],
    exclude: (path) => void notes.excluded.push(pathText(path)),
    skip: (path, reason) => void notes.skipped.push({ path: pathText(path), reason }),
    unsettle: (path) => void notes.unstable.push(pathText(path)),
  }
  return notes
}
