import type { ChangeTotal, LoadLimits } from '../../bundle.ts'
import type { VersionReference } from '../../format/version-record.ts'

export interface LoadDirectoryOptions {
  /**
   * `exact`: afterwards the directory (or each of `paths`) holds what the version holds and nothing else.
   * `merge`: what else is there stays.
   * @default 'exact'
   */
  readonly mode?: 'exact' | 'merge' | undefined
  /**
   * Files, links or directories (with all that they hold), relative, in the form of `decodePath`; the rest of the
   * directory is neither read nor changed. @default everything
   */
  readonly paths?: readonly string[] | undefined
  /**
   * Globs as a save takes them. What matches and is there is out of the load with all that it holds: not compared, not
   * removed, not replaced, and listed in `left`. Where nothing is there, what the version has comes back all the same.
   * @default nothing
   */
  readonly exclude?: readonly string[] | undefined
  /**
   * `fail`: stored bytes that are not what was written reject with `CORRUPT`, and nothing is changed.
   * `skip`: everything else is loaded; a damaged file stays as it was in the directory, and is listed.
   * @default 'fail'
   */
  readonly onDamage?: 'fail' | 'skip' | undefined
  /** A private directory for what makes the next load or save cheap; `null`: every file that is there is read. */
  readonly cacheDirectory: string | null
  /** @default 256 GiB of content, also for one file; 5_000_000 entries; 4_096 levels */
  readonly limits?: LoadLimits | undefined
  readonly onProgress?: ((progress: LoadProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface LoadProgress {
  /** `compare`: looking at what is there; `fetch`: reading and writing; `apply`: putting it in place. */
  readonly phase: 'compare' | 'fetch' | 'apply'
  readonly filesDone: number
  readonly filesExpected: number
  readonly bytesDone: number
  readonly bytesExpected: number
}

/** JSON-safe. What a load did. Files and links are counted, not directories. */
export interface LoadedDirectory {
  readonly source: VersionReference
  /** New or replaced; every byte was checked before anything was put in place. */
  readonly written: ChangeTotal
  /** Were there and are not in the version. */
  readonly deleted: ChangeTotal
  /** Were there as the version has them. */
  readonly kept: ChangeTotal
  /** Of `kept`: those that were read to know that; the others have not been touched since the last load or save. */
  readonly verified: ChangeTotal
  /** Files of which only the mode or the time was set. */
  readonly fieldsChanged: number
  /** Content bytes of `written` that were taken from the directory itself instead of the store. */
  readonly reusedBytes: number
  /** Bytes of frames read from the store. */
  readonly fetchedBytes: number
  /** What is in the directory and was neither looked at nor changed, by path. */
  readonly left: readonly LeftEntry[]
  /** Entries that were written otherwise than the version says (a set-uid bit dropped), and how. */
  readonly changed: readonly { readonly path: string; readonly reason: string }[]
  /** With `onDamage: 'skip'`: what could not be loaded. */
  readonly damaged: readonly DamagedEntry[]
  /** What had become of an earlier load of the same directory that was killed; `null` when none was. */
  readonly recovered: 'completed' | 'undone' | null
}

export interface LeftEntry {
  readonly path: string
  /**
   * It matches `exclude`; or no save takes it: it is a socket, a pipe or a device, or it is closed to this user or lies in a
   * directory that was.
   */
  readonly reason: 'excluded' | 'special-file' | 'unreadable'
  /** Whether the version has something of that path, which was not loaded. */
  readonly isInVersion: boolean
}

export interface DamagedEntry {
  readonly path: string
  /** The key of the stored object. */
  readonly object: string
  readonly reason: string
}
