import { readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { deserialize, serialize } from 'node:v8'
import zlib from 'node:zlib'
import { join } from 'node:path'
import type { BytePath } from '../../byte-path.ts'
import type { CapturedDirectory } from '../table/captured-directory.ts'
import {
  fromDirectoryColumns,
  toDirectoryColumns,
  type DirectoryColumns,
} from '../table/directory-columns.ts'
import { split, tableOfColumns, type EntryColumns, type EntryTable } from '../table/entry-table.ts'
import type { Dirtiness } from './dirtiness.ts'
import type { LimitReason } from './choose-within-limits.ts'
import type { HeadState } from '../user/read-head.ts'
import { temporaryPath, type PrivateRepository } from '../private/private-repository.ts'
import { formatRef } from '../private/sidecar.ts'
import type { PathSet } from '../table/sorted-paths.ts'
import { readSnapshotLog, snapshotLogStamp } from '../private/snapshot-log.ts'

export interface LeftOutFile {
  readonly reason: LimitReason
  readonly size: number
}

/** Everything that the next capture of the same directory can build on. Losing it costs time only. */
export interface CaptureState {
  readonly tree: string
  readonly sidecar: string | null
  readonly entries: EntryTable
  /** Whether the entries are exactly what git listed. */
  readonly isAsListed: boolean
  /** Entries whose content could not be read; theirs is that of an earlier capture. */
  readonly unread: ReadonlySet<BytePath>
  /** New files that are over a limit; not among the entries. */
  readonly leftOut: ReadonlyMap<BytePath, LeftOutFile>
  /** The limits that they are over. */
  readonly limitsKey: string
  /** Entries whose content is kept out of patches. */
  readonly precious: ReadonlySet<BytePath>
  /** Directories that were looked into; the workspace itself is the empty path. */
  readonly directories: Map<BytePath, CapturedDirectory>
  readonly leafDirectories: ReadonlyMap<BytePath, number>
  /** Permission bits of files that a git tree cannot hold. */
  readonly fileModes: ReadonlyMap<BytePath, number>
  /** Tree objects by directory; the private repository holds them. */
  readonly treeIds: ReadonlyMap<BytePath, string>
  /** What git listed, by its ignore rules as they were. */
  readonly listed: () => PathSet
  readonly unreadableDirectories: readonly BytePath[]
  /** Of everything that decides what is listed; empty when it may change without showing. */
  readonly rulesStamp: string
  /** Of the index, and of those of the other repositories. */
  readonly indexStamp: string
  /** `null` when one of them had changed a moment ago. */
  readonly nestedIndexStamp: string | null
  /** Where the index says that there is another repository. */
  readonly gitlinks: readonly BytePath[]
  /** Paths of the user's index that git did not list: absent, or tracked although ignored. */
  readonly trackedUnlisted: readonly BytePath[]
  readonly head: HeadState
  readonly dirty: Dirtiness | null
}

const FORMAT = 6
const HEADER_BYTES = 8

/** What a capture has found to be other than the last one did. */
export interface Drift {
  /** Directories that have changed are among them. */
  readonly files: number
  readonly bytes: number
}

export interface CaptureStateFile {
  load(): CaptureState | null
  /**
   * Keeps it in memory, and writes it down once more than a little differs from what the file says: whoever does not see
   * it reads so much again.
   * @param drift `null` when it is not known
   */
  save(state: CaptureState, drift: Drift | null): void
  /** Keeps it in memory only, for a capture that follows at once. */
  hold(state: CaptureState, drift: Drift | null): void
}

interface HeldState {
  readonly state: CaptureState
  /** Of the file when the state was taken from it, written to it, or held beside it. */
  readonly version: string
  /** How the log was that has its snapshot. */
  readonly logStamp: string
  /** What the file does not know of it. */
  readonly drift: Drift | null
}

const NO_DRIFT: Drift = { files: 0, bytes: 0 }
const MAX_DRIFT_SHARE = 1 / 100
const MAX_DRIFT_BYTES = 16 << 20

/** A few workspaces that are in use keep their states in memory, also when they are opened anew. */
const MAX_HELD = 4
const heldStates = new Map<string, HeldState>()

/**
 * Keeps the state in memory too, as long as no other process has replaced the file. A state counts only while its
 * snapshot is in the log: of any other, a collection may have removed what the state takes for stored. Use it under the
 * lock.
 */
export function captureStateFile(repository: PrivateRepository): CaptureStateFile {
  const path = join(repository.directory, 'state')
  const version = () => {
    const info = statSync(path, { bigint: true, throwIfNoEntry: false })
    return info === undefined ? '' : `${info.ino}:${info.size}:${info.mtimeNs}:${info.ctimeNs}`
  }
  const hold = (state: CaptureState, current: string, drift: Drift | null) => {
    heldStates.delete(path)
    heldStates.set(path, { state, version: current, logStamp: snapshotLogStamp(repository), drift })
    for (const oldest of heldStates.keys()) {
      if (heldStates.size <= MAX_HELD) break
      heldStates.delete(oldest)
    }
  }
  /** As far as it is known what the file says. */
  const addToHeld = (state: CaptureState, current: string, drift: Drift | null): Drift | null => {
    const held = heldStates.get(path)
    if (held === undefined || held.version !== current || held.drift === null) return null
    if (held.state === state) return held.drift
    return drift && { files: held.drift.files + drift.files, bytes: held.drift.bytes + drift.bytes }
  }
  const write = (state: CaptureState): void => {
    const temporary = temporaryPath(repository)
    writeFileSync(temporary, encode(state), { mode: 0o600, flag: 'wx' })
    // Replacing a file makes some file systems write the new one to the disk first; this one is not worth the wait.
    rmSync(path, { force: true })
    renameSync(temporary, path)
    hold(state, version(), NO_DRIFT)
  }
  return {
    load() {
      const current = version()
      const held = heldStates.get(path)
      // Another process may have captured, and collected what only this state knows, without writing its own down.
      const isCurrent = (known: HeldState) =>
        known.version === current &&
        (known.logStamp === snapshotLogStamp(repository) || isLogged(repository, known.state))
      if (current !== '' && held !== undefined && isCurrent(held)) return held.state
      heldStates.delete(path)
      const state = current === '' ? null : decode(readFileSync(path))
      if (state === null || !isLogged(repository, state)) return null
      hold(state, current, NO_DRIFT)
      return state
    },
    save(state, drift) {
      const current = version()
      const whole = current === '' ? null : addToHeld(state, current, drift)
      const isLittle =
        whole !== null &&
        whole.files <= state.entries.size * MAX_DRIFT_SHARE &&
        whole.bytes <= MAX_DRIFT_BYTES
      if (isLittle) hold(state, current, whole)
      else write(state)
    },
    hold(state, drift) {
      const current = version()
      if (current === '') write(state)
      else hold(state, current, addToHeld(state, current, drift))
    },
  }
}

function isLogged(repository: PrivateRepository, { tree, sidecar }: CaptureState): boolean {
  const ref = formatRef(tree, sidecar)
  return readSnapshotLog(repository).some((snapshot) => snapshot.ref === ref)
}

function encode(state: CaptureState): Buffer {
  const { entries, directories, listed, ...rest } = state
  const body = serialize({
    ...rest,
    entries: entries.columns(),
    directories: toDirectoryColumns(directories),
    listed: state.isAsListed ? null : [...listed().keys()].join('\0'),
  })
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(FORMAT, 0)
  header.writeUInt32LE(zlib.crc32(body), 4)
  return Buffer.concat([header, body])
}

function decode(bytes: Buffer): CaptureState | null {
  const body = bytes.subarray(HEADER_BYTES)
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== FORMAT) return null
  if (bytes.readUInt32LE(4) !== zlib.crc32(body)) return null
  try {
    const stored = deserialize(body) as Omit<CaptureState, 'entries' | 'directories' | 'listed'> & {
      entries: EntryColumns
      directories: DirectoryColumns
      listed: string | null
    }
    const { directories, listed: names } = stored
    const entries = tableOfColumns(stored.entries)
    let listed: PathSet | null = null
    return {
      ...stored,
      entries,
      directories: fromDirectoryColumns(directories),
      listed: () => (listed ??= names === null ? entries : new Set(split(names))),
    }
  } catch {
    return null
  }
}
