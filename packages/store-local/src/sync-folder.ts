import { close, constants, fsync, open } from 'node:fs'
import { promisify } from 'node:util'
import { errnoOf } from './file-error.ts'

const openFile = promisify(open)
const closeFile = promisify(close)
const syncFile = promisify(fsync)

interface Flush {
  running: Promise<void>
  next: Promise<void> | null
}

const flushes = new Map<string, Flush>()

/**
 * Makes the names in a folder survive a power cut. Calls that come while one is running share the one after it: many
 * concurrent puts into one folder cost few flushes.
 */
export function syncFolder(path: string): Promise<void> {
  const current = flushes.get(path)
  if (current === undefined) return start(path)
  current.next ??= current.running.then(
    () => start(path),
    () => start(path),
  )
  return current.next
}

function start(path: string): Promise<void> {
  const running = flush(path)
  const entry: Flush = { running, next: null }
  flushes.set(path, entry)
  const done = (): void => {
    if (flushes.get(path) === entry && entry.next === null) flushes.delete(path)
  }
  running.then(done, done)
  return running
}

async function flush(path: string): Promise<void> {
  let fd: number
  try {
    fd = await openFile(path, constants.O_RDONLY | (constants.O_DIRECTORY ?? 0))
  } catch (error) {
    // A folder that is gone has no names to keep; Windows opens no folders, and keeps names by itself.
    if (errnoOf(error) === 'ENOENT' || process.platform === 'win32') return
    throw error
  }
  try {
    await syncFile(fd)
  } finally {
    await closeFile(fd)
  }
}
