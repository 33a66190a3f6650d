import { closeSync, openSync, readFileSync, renameSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { recentlyUsed } from '../../../recently-used.ts'
import { writeAll } from '../../../filesystem/write-all.ts'
import type { CaptureState } from './capture-state.ts'
import { decodeState, encodeState } from './encode-state.ts'
import { temporaryPath, type PrivateRepository } from '../private/private-repository.ts'
import { formatRef } from '../private/sidecar.ts'
import { readSnapshotLog, snapshotLogStamp } from '../private/snapshot-log.ts'

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
const heldStates = recentlyUsed<HeldState>({
  most: 4,
  mostWeight: 200_000,
  weightOf: ({ state }) => state.entries.size,
})

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
    heldStates.set(path, { state, version: current, logStamp: snapshotLogStamp(repository), drift })
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
    writeParts(temporary, encodeState(state))
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
      const state = current === '' ? null : decodeState(readFileSync(path))
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

function writeParts(path: string, parts: readonly Uint8Array[]): void {
  const file = openSync(path, 'wx', 0o600)
  try {
    for (const part of parts) writeAll(file, part, null)
  } finally {
    closeSync(file)
  }
}
