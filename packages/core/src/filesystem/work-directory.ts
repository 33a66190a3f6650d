import { createHash } from 'node:crypto'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  realpathSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { applyUpdate } from './apply-update.ts'
import { closeDirectory, openRoot, toByteString } from './directory-handle.ts'
import { errnoOf, isDenied } from './filesystem-error.ts'
import { currentProcessIdentity, parseProcessIdentity, processState } from './process-identity.ts'
import { removeTree } from './remove-tree.ts'
import { finishEntrySwap, isMovingIn, readFilling, setRootFields } from './swap-directory.ts'
import { timeSlice } from './time-slice.ts'
import { undoUpdate } from './undo-update.ts'
import { closeJournal, isApplied, readJournal, readUndoneJournal } from './update-journal.ts'
import { isWorkNameOf, ownerByName, workName } from './work-name.ts'

/**
 * A private directory on the file system of `target`, in which its next content is prepared as `new` and its last one
 * parked as `old`. It lies beside the target, or inside it where the target is a mount point or its parent is closed.
 */
export interface WorkDirectory {
  readonly path: string
  readonly target: string
  readonly isInside: boolean
  /** Removes it with all that it holds. */
  remove(): Promise<void>
  /** Whether content of the target is still in it, because putting it back failed. */
  holdsOldContent(): boolean
}

/** How long one of an owner that cannot be looked at (another host or container) is left alone. */
const UNKNOWN_OWNER_MS = 24 * 60 * 60 * 1000

/** The target must exist when `isInside` is asked for. */
export function createWorkDirectory(target: string, isInside: boolean): WorkDirectory {
  const mustBeInside = isInside || isMountPoint(target)
  const name = workName(targetTag(target))
  const make = (inside: boolean): WorkDirectory => {
    const path = join(inside ? target : dirname(target), name)
    mkdirSync(path, { mode: 0o700 })
    writeFileSync(join(path, 'owner'), JSON.stringify(currentProcessIdentity()), { flag: 'wx', mode: 0o600 })
    mkdirSync(join(path, 'new'), { mode: 0o700 })
    return {
      path,
      target,
      isInside: inside,
      remove: () => removeWorkDirectory(path, outcomeOf(path)),
      holdsOldContent: () => findNames(join(path, 'old')).length > 0,
    }
  }
  if (mustBeInside) return make(true)
  try {
    return make(false)
  } catch (error) {
    const isClosed = isDenied(error) || errnoOf(error) === 'EROFS'
    if (!isClosed || !existsSync(target)) throw error
    return make(true)
  }
}

/** What became of a change that a killed process had begun: the target has its new content, or the old one. */
export type Recovery = 'completed' | 'undone'

/**
 * Puts right what a killed process left behind: a target between its old and new content gets one of them as a whole,
 * and work directories of dead owners go. Does nothing while their owner lives.
 * @returns `null` when nothing was left behind
 */
export async function recoverDirectory(target: string): Promise<Recovery | null> {
  const path = resolveTarget(target)
  const tag = targetTag(path)
  const found = [...findWork(dirname(path), tag), ...findWork(path, tag)]
  let recovery: Recovery | null = null
  for (const work of found) {
    if (!isAbandoned(work, path)) continue
    // The rename claims it: of two processes that come to clean up, one finds it gone.
    const claimed = join(dirname(work), `${workName(tag)}${settledSuffix(work)}`)
    try {
      renameSync(work, claimed)
      writeFileSync(join(claimed, 'owner'), JSON.stringify(currentProcessIdentity()), { mode: 0o600 })
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') continue
      throw error
    }
    let outcome: Recovery
    try {
      outcome = await finishWork(claimed, path)
    } catch (error) {
      abandonWorkDirectory(claimed)
      throw error
    }
    try {
      await removeWorkDirectory(claimed, outcome)
    } catch (error) {
      // What is left is rubbish that somebody else owns: it is tried again, and is no reason to refuse what is asked for now.
      if (!isDenied(error)) throw error
    }
    if (recovery !== 'completed') recovery = outcome
  }
  return recovery
}

/** Leaves it to the next `recoverDirectory`, also of this process. */
export function abandonWorkDirectory(path: string): void {
  const dead = { ...currentProcessIdentity(), bootId: 'abandoned' }
  writeFileSync(join(path, 'owner'), JSON.stringify(dead), { mode: 0o600 })
}

async function finishWork(work: string, target: string): Promise<Recovery> {
  const settled = settledOutcome(work)
  if (settled !== null) return settled
  const undone = readUndoneJournal(work)
  if (undone !== null) {
    await undoUpdate(work, target, undone, timeSlice())
    return 'undone'
  }
  const journal = readJournal(work)
  if (journal !== null) {
    await applyUpdate(work, target, journal, 'keep', timeSlice())
    closeJournal(work)
    return 'completed'
  }
  finishEntrySwap(work, target)
  const filling = readFilling(work)
  if (filling !== null && isMovingIn(work)) setRootFields(target, filling)
  const outcome = outcomeOf(work)
  const old = join(work, 'old')
  if (outcome === 'undone' && !existsSync(target) && existsSync(old)) renameSync(old, target)
  return outcome
}

/** Which content the target has, by what a work directory holds that nobody has begun to remove. */
function outcomeOf(work: string): Recovery {
  if (isApplied(work) || isMovingIn(work)) return 'completed'
  const isSwapped =
    !existsSync(join(work, 'new')) && (existsSync(join(work, 'old')) || readFilling(work) !== null)
  return isSwapped ? 'completed' : 'undone'
}

/** What a name ends with once its directory is only rubbish: it still tells when all that it held is gone. */
function settledSuffix(work: string): string {
  const outcome = settledOutcome(work)
  return outcome === null ? '' : `-${outcome}`
}

function settledOutcome(work: string): Recovery | null {
  if (work.endsWith('-completed')) return 'completed'
  return work.endsWith('-undone') ? 'undone' : null
}

/** The target by its real path: a link to the directory is the caller's own way of naming it. */
export function resolveTarget(target: string): string {
  try {
    return realpathSync(target)
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  try {
    return join(realpathSync(dirname(target)), basename(target))
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
    return target
  }
}

function findWork(directory: string, tag: string): string[] {
  const names = findNames(directory).filter((name) => isWorkNameOf(name, tag))
  return names.map((name) => join(directory, name))
}

function findNames(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}

function isAbandoned(work: string, target: string): boolean {
  try {
    const ageMs = Date.now() - lstatSync(work).mtimeMs
    const state = processState(readOwner(work) ?? ownerByName(work))
    if (state === 'unknown') return ageMs > UNKNOWN_OWNER_MS || !existsSync(target)
    return state === 'dead'
  } catch {
    return false
  }
}

function readOwner(work: string): ReturnType<typeof parseProcessIdentity> {
  try {
    return parseProcessIdentity(JSON.parse(readFileSync(join(work, 'owner'), 'utf8')))
  } catch {
    return null
  }
}

async function removeWorkDirectory(path: string, outcome: Recovery): Promise<void> {
  let settled = path
  if (settledOutcome(path) === null) {
    settled = `${path}-${outcome}`
    try {
      renameSync(path, settled)
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return
      throw error
    }
  }
  const parent = openRoot(toByteString(dirname(settled)))
  try {
    await removeTree(parent, toByteString(basename(settled)))
  } finally {
    closeDirectory(parent)
  }
}

function targetTag(target: string): string {
  return createHash('sha256').update(target).digest('hex').slice(0, 12)
}

/** A bind mount has the device of its parent, so on Linux the mount table is asked too. */
function isMountPoint(target: string): boolean {
  try {
    if (statSync(target).dev !== statSync(dirname(target)).dev) return true
    const mounts = readFileSync('/proc/self/mountinfo', 'utf8')
    const escaped = target.replace(/[ \t\n\\]/g, (character) => {
      return `\\${character.charCodeAt(0).toString(8).padStart(3, '0')}`
    })
    return mounts.split('\n').some((line) => line.split(' ')[4] === escaped)
  } catch {
    return false
  }
}
