import { readFileSync, readlinkSync } from 'node:fs'
import { hostname } from 'node:os'

/**
 * Who left a file behind, so that a later process can tell whether the owner still lives. A process id alone cannot:
 * ids are reused, and mean something else after a reboot or in another container.
 */
export interface ProcessIdentity {
  readonly pid: number
  /** Clock ticks after boot at which the process started; `null` where the system does not tell. */
  readonly startTicks: string | null
  readonly bootId: string | null
  readonly pidNamespace: string | null
  readonly host: string
}

let own: ProcessIdentity | undefined

/** For adapters: who this process is, looked up once. */
export function currentProcessIdentity(): ProcessIdentity {
  own ??= {
    pid: process.pid,
    startTicks: readProcessStat(process.pid)?.startTicks ?? null,
    bootId: readText('/proc/sys/kernel/random/boot_id'),
    pidNamespace: readLink('/proc/self/ns/pid'),
    host: hostname(),
  }
  return own
}

/** `unknown` when the owner ran on another host or in another container, where this process cannot look. */
export function processState(identity: ProcessIdentity): 'alive' | 'dead' | 'unknown' {
  const self = currentProcessIdentity()
  if (identity.host !== self.host) return 'unknown'
  if (identity.bootId !== self.bootId) return 'dead'
  if (identity.pidNamespace !== self.pidNamespace) return 'unknown'
  if (!signalReaches(identity.pid)) return 'dead'
  const stat = readProcessStat(identity.pid)
  if (stat === null) return self.startTicks === null ? 'alive' : 'dead'
  if (stat.isDefunct) return 'dead'
  return identity.startTicks === null || identity.startTicks === stat.startTicks ? 'alive' : 'dead'
}

/** Reads an identity that another process wrote; `null` when it is not one. */
export function parseProcessIdentity(value: unknown): ProcessIdentity | null {
  if (typeof value !== 'object' || value === null) return null
  const { pid, startTicks, bootId, pidNamespace, host } = value as Record<string, unknown>
  const isTextOrNull = (field: unknown): field is string | null => field === null || typeof field === 'string'
  if (typeof pid !== 'number' || !Number.isInteger(pid) || pid <= 0 || typeof host !== 'string') return null
  if (!isTextOrNull(startTicks) || !isTextOrNull(bootId) || !isTextOrNull(pidNamespace)) return null
  return { pid, startTicks, bootId, pidNamespace, host }
}

function signalReaches(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'
  }
}

function readProcessStat(pid: number): { startTicks: string; isDefunct: boolean } | null {
  const text = readText(`/proc/${pid}/stat`)
  if (text === null) return null
  // The command name in parentheses may hold anything, so fields count from the last one.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const startTicks = fields[19]
  return startTicks === undefined ? null : { startTicks, isDefunct: fields[0] === 'Z' || fields[0] === 'X' }
}

function readText(path: string): string | null {
  try {
    return readFileSync(path, 'latin1').trim()
  } catch {
    return null
  }
}

function readLink(path: string): string | null {
  try {
    return readlinkSync(path)
  } catch {
    return null
  }
}
