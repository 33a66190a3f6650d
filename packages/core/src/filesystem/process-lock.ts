import { randomUUID } from 'node:crypto'
import { link, mkdir, readFile, readdir, truncate, unlink, utimes, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { WorkspaceError } from '../errors.ts'
import {
  currentProcessIdentity,
  parseProcessIdentity,
  processState,
  type ProcessIdentity,
} from './process-identity.ts'
import { toWorkspaceError } from './filesystem-error.ts'
import { silenceWatch } from './silence-watch.ts'

export interface ProcessLockOptions {
  /** What goes on under the lock, for the message of `BUSY`: "a run of /work". @default the lock's name */
  readonly activity?: string | undefined
  /** What to do while somebody else holds the lock: wait for it, or reject with `BUSY` at once. @default 'wait' */
  readonly onBusy?: 'wait' | 'refuse' | undefined
  /** How long to wait before rejecting with `BUSY`. @default no limit */
  readonly waitTimeoutMs?: number | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

export interface ProcessLock {
  /** Process id of an owner that died without releasing the lock, when this call healed that. */
  readonly recoveredFrom: number | null
  /** Frees the lock. Calling it again does nothing. */
  release(): Promise<void>
}

const HEARTBEAT_MS = 10_000
const FIRST_POLL_MS = 5
const SLOWEST_POLL_MS = 25

/**
 * Excludes everybody else, in this process and in others that share the directory, until it is released. A killed
 * owner blocks nobody: the next caller sees that it is dead and takes over.
 *
 * The lock is a log of numbered files. The highest number is the state: held by a living process, or free. Taking a
 * free lock means creating the next number, which `link` lets exactly one process do. Numbers never go down, so a
 * slow process that acts on an old listing loses: its number exists, or is not the highest any more.
 *
 * @throws `BUSY` when refused or when the waiting time is over; details hold `pid` and `host` of the owner.
 * `QUOTA_EXCEEDED`, `ACCESS_DENIED` and the like when nothing can be written in the directory.
 */
export async function acquireProcessLock(
  directory: string,
  name: string,
  options: ProcessLockOptions = {},
): Promise<ProcessLock> {
  try {
    return await acquire(directory, name, options)
  } catch (error) {
    options.signal?.throwIfAborted()
    throw toWorkspaceError(error, `take the lock "${name}" in`, directory)
  }
}

async function acquire(directory: string, name: string, options: ProcessLockOptions): Promise<ProcessLock> {
  const {
    activity = `the step "${name}"`,
    onBusy = 'wait',
    waitTimeoutMs = Number.POSITIVE_INFINITY,
    signal,
  } = options
  const startedAt = performance.now()
  await mkdir(directory, { recursive: true, mode: 0o700 })
  const isSilent = silenceWatch()
  let pollMs = FIRST_POLL_MS
  for (;;) {
    signal?.throwIfAborted()
    const state = await readState(directory, name, isSilent)
    if (state.holder === null) {
      const number = state.number + 1
      const text = JSON.stringify({
        ...currentProcessIdentity(),
        since: new Date().toISOString(),
        id: randomUUID(),
      })
      if (await createNumber(directory, name, number, text))
        return hold(numberPath(directory, name, number), text, state.deadPid)
      continue
    }
    if (onBusy === 'refuse' || performance.now() - startedAt >= waitTimeoutMs)
      throw busy(name, activity, state.holder)
    await sleep(pollMs, undefined, { signal }).catch(() => signal?.throwIfAborted())
    pollMs = Math.min(pollMs * 2, SLOWEST_POLL_MS)
  }
}

interface LockState {
  readonly number: number
  /** The living owner, or null when the lock is free. */
  readonly holder: ProcessIdentity | null
  /** ISO 8601: when the living owner took it. */
  readonly since: string | null
  readonly deadPid: number | null
}

const FREE = { holder: null, since: null, deadPid: null }

async function readState(
  directory: string,
  name: string,
  isSilent: (path: string) => Promise<boolean> = silenceWatch(),
): Promise<LockState> {
  for (;;) {
    const number = (await listNumbers(directory, name)).at(-1) ?? 0
    if (number === 0) return { number, ...FREE }
    const path = numberPath(directory, name, number)
    const text = await readFile(path, 'utf8').catch(ignoreAbsence)
    if (text === undefined) continue
    const owner = parseOwner(text)
    if (owner === null) return { number, ...FREE }
    const state = processState(owner)
    const isHeld = state === 'alive' || (state === 'unknown' && !(await isSilent(path)))
    return isHeld
      ? { number, holder: owner, since: owner.since, deadPid: null }
      : { number, ...FREE, deadPid: owner.pid }
  }
}

/** True when this call created the number and it is the highest one. */
async function createNumber(directory: string, name: string, number: number, text: string): Promise<boolean> {
  const path = numberPath(directory, name, number)
  const temporary = join(directory, `.${name}.${randomUUID()}`)
  try {
    await writeFile(temporary, text, { flag: 'wx', mode: 0o600 })
    await link(temporary, path)
  } catch (error) {
    // Absent: somebody who cleared up took this for the file of a process that had died while writing it.
    if (['EEXIST', 'ENOENT'].includes((error as NodeJS.ErrnoException).code ?? '')) return false
    throw error
  } finally {
    await unlink(temporary).catch(ignoreAbsence)
  }
  const entries = await readdir(directory)
  await removeLitter(
    directory,
    entries.filter((entry) => entry.startsWith(`.${name}.`)),
  )
  const numbers = numbersIn(entries, name)
  for (const each of numbers.slice(0, -1))
    await unlink(numberPath(directory, name, each)).catch(ignoreAbsence)
  return numbers.at(-1) === number
}

function hold(path: string, text: string, recoveredFrom: number | null): ProcessLock {
  const heartbeat = setInterval(() => {
    const now = new Date()
    utimes(path, now, now).catch(() => undefined)
  }, HEARTBEAT_MS)
  heartbeat.unref()
  return {
    recoveredFrom,
    async release() {
      clearInterval(heartbeat)
      // Where somebody has removed the directory, the number may be that of another owner by now.
      if ((await readFile(path, 'utf8').catch(ignoreAbsence)) !== text) return
      // The number stays, as a free one: were it removed, a slow process could create it a second time. Written in
      // place, so that a killed process leaves nothing behind: no part of it reads as an owner.
      await truncate(path).catch(ignoreAbsence)
    },
  }
}

/** Files of processes that died while they waited for the lock. */
async function removeLitter(directory: string, names: readonly string[]): Promise<void> {
  const isSilent = silenceWatch()
  for (const name of names) {
    const path = join(directory, name)
    const text = await readFile(path, 'utf8').catch(ignoreAbsence)
    const owner = text === undefined ? null : parseOwner(text)
    if (owner === null || processState(owner) === 'dead' || (await isSilent(path)))
      await unlink(path).catch(ignoreAbsence)
  }
}

/**
 * Since when a living process holds a lock; `null` when none does.
 */
export async function lockHeldSince(directory: string, name: string): Promise<Date | null> {
  const state = await readState(directory, name).catch(ignoreAbsence)
  return state === undefined || state.holder === null ? null : new Date(state.since ?? 0)
}

async function listNumbers(directory: string, name: string): Promise<number[]> {
  return numbersIn(await readdir(directory), name)
}

function numbersIn(entries: readonly string[], name: string): number[] {
  const numbers: number[] = []
  for (const entry of entries) {
    const digits = entry.startsWith(`${name}.`) ? entry.slice(name.length + 1) : ''
    if (/^[1-9][0-9]{0,14}$/.test(digits)) numbers.push(Number(digits))
  }
  return numbers.sort((left, right) => left - right)
}

function parseOwner(text: string): (ProcessIdentity & { readonly since: string | null }) | null {
  try {
    const value: unknown = JSON.parse(text)
    const identity = parseProcessIdentity(value)
    const { since } = (value ?? {}) as { since?: unknown }
    const isTime = typeof since === 'string' && !Number.isNaN(Date.parse(since))
    return identity === null ? null : { ...identity, since: isTime ? since : null }
  } catch {
    return null
  }
}

function numberPath(directory: string, name: string, number: number): string {
  return join(directory, `${name}.${number}`)
}

function busy(name: string, activity: string, owner: ProcessIdentity): WorkspaceError {
  return new WorkspaceError(
    'BUSY',
    `Process ${owner.pid} on ${owner.host} is at ${activity}. Wait until it is done, then try again.`,
    {
      details: { lock: name, pid: owner.pid, host: owner.host },
    },
  )
}

function ignoreAbsence(error: NodeJS.ErrnoException): undefined {
  if (error.code !== 'ENOENT') throw error
}
