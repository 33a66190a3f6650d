import { createHash } from 'node:crypto'
import { linkSync, lstatSync, readdirSync, renameSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WorkspaceError, processState } from '@ws/core'
import { errnoOf } from './file-error.ts'
import { readOwner, removeFile, type Owner, type StoreFolders } from './store-folders.ts'

const WAIT_LIMIT_MS = 30_000
/** How long an owner that cannot be looked at (in another container) may hold a lock. Living ones need about 0.1 ms. */
const UNKNOWN_OWNER_LIMIT_MS = 60_000

/**
 * Runs a synchronous section that no other process or thread runs for the same key at the same time.
 *
 * The lock is a hard link `<key hash>` to the owner's file: `link` lets one process make it, and it names its owner.
 * A killed owner leaves the link behind. Whoever finds that makes `<key hash>.<id of the dead owner>`, which again only
 * one can; checks that the lock still names the dead owner; and renames its link over the lock. If it dies as well
 * before the rename, the next one continues the chain behind it. A slow process that still believes in the dead owner
 * makes its link too late, sees that the lock has another name in it, and takes the link back: an id that is dead
 * never comes back, so no link behind it can count any more.
 *
 * @throws `BUSY` when a living process keeps the lock for half a minute
 */
export async function withKeyLock<T>(
  folders: StoreFolders,
  key: string,
  signal: AbortSignal | undefined,
  section: () => T,
): Promise<T> {
  const path = join(folders.locks, createHash('sha256').update(key).digest('hex').slice(0, 32))
  const startedAt = performance.now()
  for (let pauseMs = 1; ; pauseMs = Math.min(pauseMs * 2, 20)) {
    signal?.throwIfAborted()
    if (tryLock(folders, path)) {
      try {
        return section()
      } finally {
        removeFile(path)
      }
    }
    if (performance.now() - startedAt > WAIT_LIMIT_MS) throw busy(key, readOwner(path))
    // The timer's own rejection has another reason than the signal; the loop's start throws the right one.
    await sleep(pauseMs * Math.random(), undefined, signal === undefined ? {} : { signal }).catch(
      () => undefined,
    )
  }
}

/**
 * Removes the locks of dead owners. Each is taken over first, as for a section: between a look at it and its removal a
 * living process may have taken it over.
 */
export function sweepLocks(folders: StoreFolders): void {
  for (const name of readdirSync(folders.locks)) {
    if (name.includes('.')) continue
    const path = join(folders.locks, name)
    const owner = readOwner(path)
    if (owner !== null && isDead(owner, path) && tryLock(folders, path)) removeFile(path)
  }
}

function tryLock(folders: StoreFolders, path: string): boolean {
  if (makeLink(folders.ownerFile, path)) return true
  const holder = readOwner(path)
  if (holder === null) return false
  // A section is synchronous, so this process is not inside one: an earlier removal of the link must have failed.
  if (holder.id === folders.ownerId) return true
  let last: Owner = holder
  let lastPath = path
  for (;;) {
    if (!isDead(last, lastPath)) return false
    lastPath = `${path}.${last.id}`
    if (makeLink(folders.ownerFile, lastPath)) break
    const next = readOwner(lastPath)
    if (next === null) return false
    if (next.id === folders.ownerId) break
    last = next
  }
  if (readOwner(path)?.id !== holder.id) {
    removeFile(lastPath)
    return false
  }
  renameSync(lastPath, path)
  removeChain(folders.locks, `${path.slice(folders.locks.length + 1)}.`)
  return true
}

/** Links behind owners that are no longer in the lock; only its holder may remove them. */
function removeChain(locks: string, start: string): void {
  for (const name of readdirSync(locks)) if (name.startsWith(start)) removeFile(join(locks, name))
}

function makeLink(target: string, path: string): boolean {
  try {
    linkSync(target, path)
    return true
  } catch (error) {
    if (errnoOf(error) === 'EEXIST') return false
    throw error
  }
}

function isDead(owner: Owner, path: string): boolean {
  const state = processState(owner.identity)
  if (state !== 'unknown') return state === 'dead'
  // Making and removing links changes the ctime of the owner's file, which the lock is a link to.
  const stats = lstatSync(path, { throwIfNoEntry: false })
  return stats !== undefined && Date.now() - stats.ctimeMs > UNKNOWN_OWNER_LIMIT_MS
}

function busy(key: string, owner: Owner | null): WorkspaceError {
  const pid = owner?.identity.pid ?? null
  const who = pid === null ? 'another process' : `process ${pid}`
  return new WorkspaceError(
    'BUSY',
    `The object ${JSON.stringify(key)} is locked by ${who}. Try again later.`,
    {
      details: { key, pid },
    },
  )
}
