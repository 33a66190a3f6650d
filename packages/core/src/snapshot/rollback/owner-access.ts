import {
  accessSync,
  appendFileSync,
  chmodSync,
  closeSync,
  constants,
  fstatSync,
  lstatSync,
  openSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  type Stats,
} from 'node:fs'
import { join } from 'node:path'
import { createDirectoryCursor, type DirectoryCursor } from '../../filesystem/directory-cursor.ts'
import {
  anotherPlace,
  childPath,
  openRealRoot,
  toFilePath,
  type ByteString,
} from '../../filesystem/directory-handle.ts'
import { errnoOf, isAbsence } from '../../filesystem/filesystem-error.ts'
import { OPEN_ENTRY } from '../../filesystem/open-accessible.ts'
import { compareBytes, joinPath, nameOf, parentOf, pathResolver, toBytePath } from '../byte-path.ts'
import { replaceFile } from '../hash/replace-file.ts'
import type { RollbackSource } from './rollback-source.ts'

/**
 * Files and directories that are closed to their own owner, and that a rollback has opened to read them. What each was is
 * written down before, so that it comes back also when this process is killed.
 */
export interface OwnerAccess {
  /** The permission bits that opened paths have but for that. */
  readonly modes: ReadonlyMap<ByteString, number>
  /** Opens paths and the directories above, as far as they are this user's. @returns whether one was closed until now */
  open(paths: Iterable<ByteString>): boolean
  /** Opens a directory and all that is in it. */
  openTree(directory: ByteString): void
  /** Whether one of the paths may not be read, or not even be reached. */
  isClosed(paths: Iterable<ByteString>): boolean
  /**
   * Closes files again that are about to be replaced: whatever other name one of them has keeps its permissions. Directories
   * stay open; nobody but the caller closes them from now on.
   */
  release(paths: Iterable<ByteString>): void
  /** Closes again what nobody has given other permissions meanwhile. */
  close(): void
}

type Place = Pick<RollbackSource, 'path' | 'journalDirectory'>

/** Beginning with what a killed rollback left open. */
export function ownerAccess(place: Place): OwnerAccess {
  const modes = readNotes(place)
  let opened = 0
  const note = (path: ByteString, mode: number): void => {
    opened += 1
    modes.set(path, mode)
    appendFileSync(notesPath(place), `${JSON.stringify([path, mode])}\n`, { mode: 0o600 })
  }
  return {
    modes,
    open(paths) {
      const before = opened
      openRoot(place.path, note)
      const seen = new Set<ByteString>()
      inWorkspace(place.path, (cursor) => {
        for (const path of paths) openWayTo(cursor, path, seen, note)
      })
      return opened > before
    },
    openTree(directory) {
      inWorkspace(place.path, (cursor) => {
        const seen = new Set<ByteString>()
        const waiting = [directory]
        for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
          openWayTo(cursor, path, seen, note)
          for (const name of namesIn(cursor, path)) waiting.push(joinPath(path, name))
        }
      })
    },
    isClosed(paths) {
      const resolve = pathResolver(place.path)
      for (const path of paths) if (isShut(resolve(path))) return true
      return false
    },
    release(paths) {
      const released = [...paths].flatMap((path) => {
        const mode = modes.get(path)
        return mode === undefined ? [] : [[path, mode] as const]
      })
      if (released.length === 0) return
      closeAll(place.path, released, (stats) => stats.isFile())
      for (const [path] of released) modes.delete(path)
      writeNotes(place, modes)
    },
    close() {
      if (modes.size === 0) return
      closeAll(place.path, modes, () => true)
      modes.clear()
      writeNotes(place, modes)
    },
  }
}

/** What opening makes of the permissions of a file or directory. */
function openedMode(mode: number, type: 'file' | 'symlink' | 'directory'): number {
  return mode | (type === 'directory' ? DIRECTORY_BITS : type === 'file' ? FILE_BITS : 0)
}

const FILE_BITS = 0o400
const DIRECTORY_BITS = 0o500

/** By trying, as a user who may read everything, root for one, is shut out by no mode. */
function isShut(file: string | Buffer): boolean {
  try {
    const isDirectory = statSync(file).isDirectory()
    accessSync(file, isDirectory ? constants.R_OK | constants.X_OK : constants.R_OK)
    return false
  } catch (error) {
    return errnoOf(error) === 'EACCES'
  }
}

function inWorkspace(root: string, work: (cursor: DirectoryCursor) => void): void {
  const cursor = createDirectoryCursor(toBytePath(root), openRealRoot)
  try {
    work(cursor)
  } finally {
    cursor.close()
  }
}

/** None in what is no directory, or stays closed. */
function namesIn(cursor: DirectoryCursor, path: ByteString): ByteString[] {
  try {
    return readdirSync(toFilePath(cursor.open(path).base), { encoding: 'latin1' })
  } catch {
    return []
  }
}

/** The workspace itself is reached by its name: nothing above it belongs to the rollback. */
function openRoot(root: string, note: (path: ByteString, mode: number) => void): void {
  if (!isShut(root)) return
  const stats = lstatSync(root)
  if (!stats.isDirectory()) throw anotherPlace(root)
  openOne(root, stats, (mode) => note('', mode))
}

/** What cannot be opened stays as it is: whoever needs it says so. */
function openWayTo(
  cursor: DirectoryCursor,
  path: ByteString,
  seen: Set<ByteString>,
  note: (path: ByteString, mode: number) => void,
): void {
  for (let end = 0; end < path.length;) {
    const next = path.indexOf('/', end + 1)
    end = next === -1 ? path.length : next
    const part = path.slice(0, end)
    if (seen.has(part)) continue
    seen.add(part)
    try {
      const file = childPath(cursor.open(parentOf(part)), nameOf(part))
      openOne(file, lstatSync(file), (mode) => note(part, mode))
    } catch (error) {
      if (!isAbsence(error) && !['EACCES', 'EPERM', 'ENAMETOOLONG', 'EROFS'].includes(errnoOf(error) ?? ''))
        throw error
      return
    }
  }
}

function openOne(file: string | Buffer, stats: Stats, note: (mode: number) => void): void {
  const mode = stats.mode & 0o7777
  const opened = openedMode(mode, typeOf(stats))
  if (opened === mode || stats.uid !== process.geteuid?.()) return
  note(mode)
  changeMode(file, stats, opened)
}

function typeOf(stats: Stats): 'file' | 'symlink' | 'directory' {
  // Links, and what is never opened, have no permissions that matter.
  return stats.isDirectory() ? 'directory' : stats.isFile() ? 'file' : 'symlink'
}

/** Deepest first: a directory that is closed hides what is in it. */
function closeAll(
  root: string,
  modes: Iterable<readonly [path: ByteString, mode: number]>,
  isWanted: (stats: Stats) => boolean,
): void {
  const deepestFirst = [...modes].toSorted((left, right) => compareBytes(right[0], left[0]))
  inWorkspace(root, (cursor) => {
    for (const [path, mode] of deepestFirst) {
      try {
        const file = path === '' ? root : childPath(cursor.open(parentOf(path)), nameOf(path))
        const stats = lstatSync(file)
        // The system may have taken a set-group bit away on the way.
        const isOpened = (stats.mode & 0o777) === (openedMode(mode, typeOf(stats)) & 0o777)
        if (isOpened && isWanted(stats)) changeMode(file, stats, mode)
      } catch (error) {
        if (!isAbsence(error) && errnoOf(error) !== 'EACCES') throw error
      }
    }
  })
}

/** Of the very entry that was looked at; a link that took its place meanwhile is not followed. */
function changeMode(file: string | Buffer, { ino, dev }: Stats, mode: number): void {
  if (process.platform !== 'linux') {
    chmodSync(file, mode)
    return
  }
  const fd = openSync(file, OPEN_ENTRY)
  try {
    const stats = fstatSync(fd)
    if (stats.ino === ino && stats.dev === dev) chmodSync(toFilePath(`/proc/self/fd/${fd}`), mode)
  } finally {
    closeSync(fd)
  }
}

function readNotes(place: Place): Map<ByteString, number> {
  const modes = new Map<ByteString, number>()
  let text = ''
  try {
    text = readFileSync(notesPath(place), 'utf8')
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT') throw error
  }
  for (const line of text.split('\n')) {
    try {
      const [path, mode] = JSON.parse(line) as [unknown, unknown]
      if (typeof path === 'string' && typeof mode === 'number') modes.set(path, mode & 0o7777)
    } catch {
      // Half of a line, by a process that was killed before it opened anything for it.
    }
  }
  return modes
}

function writeNotes(place: Place, modes: ReadonlyMap<ByteString, number>): void {
  if (modes.size === 0) rmSync(notesPath(place), { force: true })
  else
    replaceFile(notesPath(place), Buffer.from([...modes].map((each) => `${JSON.stringify(each)}\n`).join('')))
}

export function notesPath({ journalDirectory }: Pick<Place, 'journalDirectory'>): string {
  return join(journalDirectory, 'rollback-opened')
}
