import { randomBytes } from 'node:crypto'
import {
  linkSync,
  lstatSync,
  readdirSync,
  renameSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'

/** What our half-written index is called, beside the real one. */
const PREFIX = 'ws-rollback-index-'

/**
 * Puts an index in place as git does: the lock is the new file, and becomes the index. The content is whole before
 * the lock is there, so that a lock that is left behind by a kill can be told from one of git's.
 * @throws `BUSY` when a git command holds the lock
 */
export function writeIndex(indexFile: string, content: Uint8Array, mtimeNs: string): void {
  const lock = `${indexFile}.lock`
  const temporary = join(dirname(indexFile), `${PREFIX}${randomBytes(8).toString('hex')}`)
  const mode = lstatSync(indexFile, { throwIfNoEntry: false })?.mode ?? 0o644
  writeFileSync(temporary, content, { flag: 'wx', mode: mode & 0o777 })
  try {
    const seconds = Number(BigInt(mtimeNs) / 1_000_000_000n)
    // Rounded down, so that git takes too much for changed rather than too little.
    utimesSync(temporary, seconds, seconds)
    lockWith(temporary, lock)
    renameSync(lock, indexFile)
  } finally {
    rmSync(temporary, { force: true })
  }
}

/** @throws `BUSY` when a git command holds the lock */
export function removeIndex(indexFile: string): void {
  const lock = `${indexFile}.lock`
  const temporary = join(dirname(indexFile), `${PREFIX}${randomBytes(8).toString('hex')}`)
  writeFileSync(temporary, '', { flag: 'wx', mode: 0o600 })
  try {
    lockWith(temporary, lock)
    rmSync(indexFile, { force: true })
    unlinkSync(lock)
  } finally {
    rmSync(temporary, { force: true })
  }
}

function lockWith(temporary: string, lock: string): void {
  try {
    linkSync(temporary, lock)
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') throw locked(lock)
    throw error
  }
}

/** Removes what a killed {@link writeIndex} left: its file, and the lock where that is the very same file. */
export function sweepIndex(indexFile: string): void {
  const directory = dirname(indexFile)
  const lock = lstatSync(`${indexFile}.lock`, { throwIfNoEntry: false, bigint: true })
  for (const name of readdirSync(directory)) {
    if (!new RegExp(`^${PREFIX}[0-9a-f]{16}$`).test(name)) continue
    const path = join(directory, name)
    const stats = lstatSync(path, { throwIfNoEntry: false, bigint: true })
    if (stats?.isFile() !== true) continue
    if (lock !== undefined && stats.ino === lock.ino && stats.dev === lock.dev)
      unlinkSync(`${indexFile}.lock`)
    unlinkSync(path)
  }
}

export function locked(lock: string): WorkspaceError {
  return new WorkspaceError(
    'BUSY',
    `A git command is at work: ${basename(lock)} is there. Wait until it is done, then roll back again; if none is running, remove ${lock}.`,
    { details: { lock } },
  )
}
