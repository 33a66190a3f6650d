import { spawn } from 'node:child_process'
import { once } from 'node:events'
import fsPromises, {
  appendFile,
  mkdtemp,
  readFile,
  readdir,
  rm,
  stat,
  utimes,
  writeFile,
} from 'node:fs/promises'
import { syncBuiltinESMExports } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import { acquireProcessLock, lockHeldSince, type ProcessLock } from '../../src/filesystem/process-lock.ts'
import { silenceWatch } from '../../src/filesystem/silence-watch.ts'

let directory: string
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'ws-lock-'))
})
afterEach(() => rm(directory, { recursive: true, force: true }))

const moduleUrl = new URL('../../src/filesystem/process-lock.ts', import.meta.url).href

/** Starts a process that takes the lock, says so, and then follows `body`. */
async function startHolder(body: string): Promise<ReturnType<typeof spawn>> {
  const script = `
    const { acquireProcessLock } = await import(${JSON.stringify(moduleUrl)})
    const { appendFileSync } = await import('node:fs')
    const directory = ${JSON.stringify(directory)}
    ${body}
  `
  return spawn(process.execPath, ['--conditions=@ws/source', '--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
}

it('refuses with BUSY and names the owner while another holder lives (case 76)', async () => {
  const lock = await acquireProcessLock(directory, 'run')
  await expect(acquireProcessLock(directory, 'run', { onBusy: 'refuse' })).rejects.toMatchObject({
    code: 'BUSY',
    retryable: true,
    details: { pid: process.pid },
  })
  await lock.release()
  const next = await acquireProcessLock(directory, 'run', { onBusy: 'refuse' })
  await next.release()
})

it('keeps locks of different names apart', async () => {
  const one = await acquireProcessLock(directory, 'one')
  const other = await acquireProcessLock(directory, 'other', { onBusy: 'refuse' })
  await one.release()
  await other.release()
})

it('ends waiting with BUSY when its time is over and with the reason when its signal aborts (case 76)', async () => {
  const lock = await acquireProcessLock(directory, 'run')
  await expect(acquireProcessLock(directory, 'run', { waitTimeoutMs: 20 })).rejects.toMatchObject({
    code: 'BUSY',
  })
  const controller = new AbortController()
  const waiting = acquireProcessLock(directory, 'run', { signal: controller.signal })
  const enough = Object.assign(new Error('enough'), { code: 'EACCES' })
  controller.abort(enough)
  await expect(waiting).rejects.toBe(enough)
  await lock.release()
})

it('lets callers of one process in one after the other', async () => {
  let inside = 0
  let most = 0
  await Promise.all(
    Array.from({ length: 20 }, async () => {
      const lock = await acquireProcessLock(directory, 'run')
      inside += 1
      most = Math.max(most, inside)
      await appendFile(join(directory, 'log'), 'x')
      inside -= 1
      await lock.release()
    }),
  )
  expect(most).toBe(1)
  expect(await readFile(join(directory, 'log'), 'utf8')).toHaveLength(20)
})

it('takes over from an owner that was killed, and says so', async () => {
  const holder = await startHolder(`
    await acquireProcessLock(directory, 'run')
    process.stdout.write('held')
    setInterval(() => {}, 1000)
  `)
  await once(holder.stdout!, 'data')
  await expect(acquireProcessLock(directory, 'run', { onBusy: 'refuse' })).rejects.toMatchObject({
    code: 'BUSY',
  })
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  const lock = await acquireProcessLock(directory, 'run', { onBusy: 'refuse' })
  expect(lock.recoveredFrom).toBe(holder.pid)
  await lock.release()
})

it('does not take a reused process id for the old owner', async () => {
  const lock = await acquireProcessLock(directory, 'run')
  const [name] = await readdir(directory)
  const owner = JSON.parse(await readFile(join(directory, name!), 'utf8')) as Record<string, unknown>
  await lock.release()
  await writeFile(join(directory, 'run.2'), JSON.stringify({ ...owner, startTicks: '1' }))
  const next = await acquireProcessLock(directory, 'run', { onBusy: 'refuse' })
  expect(next.recoveredFrom).toBe(process.pid)
  await next.release()
})

/** A lock whose owner ran where nobody can look, with its last sign of life some time ago. */
async function leaveForeignLock(silentMs: number): Promise<string> {
  const lock = await acquireProcessLock(directory, 'run')
  const owner = JSON.parse(await readFile(join(directory, 'run.1'), 'utf8')) as Record<string, unknown>
  await lock.release()
  const path = join(directory, 'run.2')
  await writeFile(path, JSON.stringify({ ...owner, pid: 7, host: 'elsewhere' }))
  const then = new Date(Date.now() - silentMs)
  await utimes(path, then, then)
  return path
}

it('believes an owner on another host as long as it gives signs of life, and then takes over and says so (case 75)', async () => {
  const path = await leaveForeignLock(80_000)
  await expect(acquireProcessLock(directory, 'run', { onBusy: 'refuse' })).rejects.toMatchObject({
    code: 'BUSY',
    details: { pid: 7, host: 'elsewhere' },
  })
  const then = new Date(Date.now() - 100_000)
  await utimes(path, then, then)
  const lock = await acquireProcessLock(directory, 'run', { onBusy: 'refuse' })
  expect(lock.recoveredFrom).toBe(7)
  await lock.release()
})

describe('a lock whose owner has a clock that is ahead', () => {
  const aDay = 24 * 60 * 60_000
  const pass = (milliseconds: number) => void vi.advanceTimersByTime(milliseconds)
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ['performance'] })
    onTestFinished(() => void vi.useRealTimers())
  })

  it('is believed as long as signs of life come while somebody watches (case 75)', async () => {
    const path = await leaveForeignLock(-aDay)
    const isSilent = silenceWatch()
    expect(await isSilent(path)).toBe(false)
    pass(80_000)
    expect(await isSilent(path)).toBe(false)
    const sign = new Date(Date.now() + aDay + 80_000)
    await utimes(path, sign, sign)
    pass(80_000)
    expect(await isSilent(path)).toBe(false)
    pass(100_000)
    expect(await isSilent(path)).toBe(true)
  })

  it('is not held for ever: whoever waits takes over, and says so (case 75)', async () => {
    await leaveForeignLock(-aDay)
    let lock: ProcessLock | null = null
    const waiting = acquireProcessLock(directory, 'run').then((taken) => (lock = taken))
    while (lock === null) {
      pass(1000)
      await new Promise((resolve) => void setImmediate(resolve))
    }
    expect((await waiting).recoveredFrom).toBe(7)
    await (await waiting).release()
  })
})

it('is not taken by a slow process that creates a number which others have used and removed', async () => {
  await (await acquireProcessLock(directory, 'run')).release()
  const { link } = fsPromises
  onTestFinished(() => {
    fsPromises.link = link
    syncBuiltinESMExports()
  })
  let other: ProcessLock | null = null
  fsPromises.link = async (from, to) => {
    fsPromises.link = link
    syncBuiltinESMExports()
    await (await acquireProcessLock(directory, 'run')).release()
    other = await acquireProcessLock(directory, 'run')
    return link(from, to)
  }
  syncBuiltinESMExports()
  await expect(acquireProcessLock(directory, 'run', { onBusy: 'refuse' })).rejects.toMatchObject({
    code: 'BUSY',
  })
  expect(other).not.toBeNull()
  expect(await readdir(directory)).toEqual(['run.3'])
})

it('frees no lock of somebody else, nor fails, where its directory was removed', async () => {
  const lock = await acquireProcessLock(directory, 'run')
  await rm(directory, { recursive: true })
  const next = await acquireProcessLock(directory, 'run')
  await lock.release()
  await expect(acquireProcessLock(directory, 'run', { onBusy: 'refuse' })).rejects.toMatchObject({
    code: 'BUSY',
  })
  await rm(directory, { recursive: true })
  await next.release()
})

it('clears up after processes that died while they waited, and after nobody else', async () => {
  const lock = await acquireProcessLock(directory, 'run')
  const owner = JSON.parse(await readFile(join(directory, 'run.1'), 'utf8')) as Record<string, unknown>
  await lock.release()
  const leave = (name: string, text: string): Promise<void> => writeFile(join(directory, name), text)
  await leave('.run.living', JSON.stringify(owner))
  await leave('.run.dead', JSON.stringify({ ...owner, startTicks: '1' }))
  await leave('.run.half', JSON.stringify(owner).slice(0, 20))
  await leave('.run.away', JSON.stringify({ ...owner, host: 'elsewhere' }))
  await leave('.run.silent', JSON.stringify({ ...owner, host: 'elsewhere' }))
  const then = new Date(Date.now() - 100_000)
  await utimes(join(directory, '.run.silent'), then, then)
  await leave('.other.dead', JSON.stringify({ ...owner, startTicks: '1' }))
  await (await acquireProcessLock(directory, 'run')).release()
  expect((await readdir(directory)).sort()).toEqual(['.other.dead', '.run.away', '.run.living', 'run.2'])
})

it('gives signs of life until it is released, and keeps no process from its end', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  const lock = await acquireProcessLock(directory, 'run')
  const path = join(directory, 'run.1')
  await utimes(path, 0, 0)
  vi.advanceTimersByTime(10_000)
  while ((await stat(path)).mtimeMs === 0) await new Promise((resolve) => void setImmediate(resolve))
  await lock.release()
  expect(vi.getTimerCount()).toBe(0)
  const holder = await startHolder(`await acquireProcessLock(directory, 'run')`)
  onTestFinished(() => void holder.kill('SIGKILL'))
  expect(await once(holder, 'exit')).toEqual([0, null])
})

it('says since when it is held', async () => {
  expect(await lockHeldSince(join(directory, 'none'), 'run')).toBeNull()
  expect(await lockHeldSince(directory, 'run')).toBeNull()
  const lock = await acquireProcessLock(directory, 'run')
  const { since } = JSON.parse(await readFile(join(directory, 'run.1'), 'utf8')) as { since: string }
  expect(await lockHeldSince(directory, 'run')).toEqual(new Date(since))
  await lock.release()
  expect(await lockHeldSince(directory, 'run')).toBeNull()
})

it('never lets two processes in at once, also while some of them are killed inside', async () => {
  // Each process writes "in" and "out" around its critical section; a killed one leaves an "in" without an "out".
  const log = join(directory, 'log')
  const workers = await Promise.all(
    Array.from({ length: 6 }, (_, index) =>
      startHolder(`
        for (let turn = 0; turn < 12; turn += 1) {
          const lock = await acquireProcessLock(directory + '/lock', 'run')
          appendFileSync(${JSON.stringify(log)}, 'in ${index} ' + turn + '\\n')
          if (${index} < 2 && turn === 5) process.kill(process.pid, 'SIGKILL')
          await new Promise((resolve) => setImmediate(resolve))
          appendFileSync(${JSON.stringify(log)}, 'out ${index} ' + turn + '\\n')
          await lock.release()
        }
      `),
    ),
  )
  await Promise.all(workers.map((worker) => once(worker, 'exit')))
  const lines = (await readFile(log, 'utf8')).trim().split('\n')
  let inside: string | null = null
  for (const line of lines) {
    const [word, worker, turn] = line.split(' ')
    const isKilledInside = inside !== null && /^[01] 5$/.test(inside)
    if (word === 'in') {
      expect(inside === null || isKilledInside, `${line} while ${inside} is inside`).toBe(true)
      inside = `${worker} ${turn}`
    } else {
      expect(inside).toBe(`${worker} ${turn}`)
      inside = null
    }
  }
  expect(lines.filter((line) => line.startsWith('in'))).toHaveLength(4 * 12 + 2 * 6)
  expect((await readdir(join(directory, 'lock'))).length).toBeLessThanOrEqual(2)
})
