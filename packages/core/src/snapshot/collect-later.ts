import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { WorkspaceError } from '../errors.ts'
import { collectAbandonedState } from './collect-abandoned-state.ts'
import { collectState, type WorkspaceState } from './collect-state.ts'

/** How the last automatic collection ended. JSON-safe. */
export interface LastCollection {
  /** ISO 8601. */
  readonly at: string
  /** What went wrong; `null` when nothing did. */
  readonly error: string | null
}

const EVERY_CAPTURES = 50
const EVERY_MS = 60 * 60_000
const ABANDONED_EVERY_MS = 24 * 60 * 60_000
/** A collection that takes longer stops, and goes on the next time. */
const DEADLINE_MS = 60_000
const NOTE = 'collected.json'

const capturesSince = new Map<string, number>()
const running = new Map<string, Promise<void>>()

/**
 * To be called after each capture: it returns at once. Once an hour, and after every 50 captures of this process, a
 * collection runs in the background. It lets captures go first, and a process that ends stops it anywhere.
 */
export function collectLater(state: WorkspaceState): void {
  const { stateDirectory } = state
  const captures = (capturesSince.get(stateDirectory) ?? 0) + 1
  capturesSince.set(stateDirectory, captures)
  if (running.has(stateDirectory)) return
  const age = ageOf(join(stateDirectory, NOTE))
  if (age === null) note(stateDirectory, null)
  if ((age ?? 0) < EVERY_MS && captures < EVERY_CAPTURES) return
  capturesSince.delete(stateDirectory)
  running.set(
    stateDirectory,
    collect(state).finally(() => running.delete(stateDirectory)),
  )
}

/** For whoever must not leave anything running: resolves when no collection of the state directory is. */
export async function collectionsDone(stateDirectory: string): Promise<void> {
  await running.get(stateDirectory)
}

export function readLastCollection(stateDirectory: string): LastCollection | null {
  try {
    return JSON.parse(readFileSync(join(stateDirectory, NOTE), 'utf8')) as LastCollection
  } catch {
    return null
  }
}

async function collect(state: WorkspaceState): Promise<void> {
  await nextTurn()
  // Noted first, so that one that is cut off is not tried again at once.
  note(state.stateDirectory, null)
  try {
    await collectState(state, { signal: AbortSignal.timeout(DEADLINE_MS) })
    const base = dirname(state.stateDirectory)
    if ((ageOf(join(base, NOTE)) ?? ABANDONED_EVERY_MS) >= ABANDONED_EVERY_MS) {
      note(base, null)
      await collectAbandonedState({ stateDir: base })
    }
  } catch (error) {
    // Somebody else is at it.
    if (!WorkspaceError.is(error, 'BUSY')) note(state.stateDirectory, error)
  }
}

function note(directory: string, error: unknown): void {
  const text = error instanceof Error ? error.message : null
  const last: LastCollection = { at: new Date().toISOString(), error: text }
  try {
    writeFileSync(join(directory, NOTE), JSON.stringify(last), { mode: 0o600 })
  } catch {
    // A full disk, or a state directory that is gone: nothing was captured then either.
  }
}

/** In milliseconds; `null` when there is no such file. */
function ageOf(path: string): number | null {
  const stats = statSync(path, { throwIfNoEntry: false })
  return stats === undefined ? null : Date.now() - stats.mtimeMs
}
