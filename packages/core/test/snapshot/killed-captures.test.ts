import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { collectState } from '../../src/snapshot/collect-state.ts'
import { openSnapshotBackend } from '../../src/snapshot/open-snapshot-backend.ts'
import { createRepository, temporaryDirectory } from '../support/temporary-directory.ts'

const opener = new URL('../../src/snapshot/open-snapshot-backend.ts', import.meta.url).href
const collector = new URL('../../src/snapshot/collect-state.ts', import.meta.url).href

interface Place {
  readonly path: string
  readonly stateDirectory: string
}

function prepare(): Place {
  const base = temporaryDirectory()
  const path = createRepository(join(base, 'work'), { 'a.txt': 'one\n' })
  for (let number = 0; number < 200; number += 1)
    writeFileSync(join(path, `f${number}`), `${number}\n`.repeat(2000))
  mkdirSync(join(base, 'state'))
  return { path, stateDirectory: join(base, 'state') }
}

/** Runs a piece of a program in a process of its own; it says `go` when it is about to begin. */
async function startProcess(program: string): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--conditions=@ws/source', '--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout ?? child, 'data')
  return child
}

/** Files below the state directory; what comes and goes meanwhile may be missing. */
function listFiles(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true }).flatMap((entry) =>
      entry.isDirectory() ? listFiles(join(directory, entry.name)) : [join(directory, entry.name)],
    )
  } catch {
    return []
  }
}

/** Everything that looks unfinished. */
function litter(stateDirectory: string): string[] {
  const unfinished =
    /\/(tmp_|\.capture\.|\.collect\.)|\.(tmp|lock|condemned)$|\/(temporary|collecting|\.aside)\/|git-layout\./
  return listFiles(stateDirectory).filter((path) => unfinished.test(path))
}

describe.each([
  ['git', 8, 9],
  ['bundle', 6, 5],
  ['hash', 4, 2],
] as const)('captures of the %s backend that were killed', (strategy, rounds, stride) => {
  it('leave nothing behind that the next one does not clear away (case 65)', async () => {
    const place = prepare()
    const program = `
      const { openSnapshotBackend } = await import(${JSON.stringify(opener)})
      const { writeFileSync } = await import('node:fs')
      const backend = await openSnapshotBackend(${JSON.stringify({ ...place, strategy })})
      console.log('go')
      for (let turn = 0; ; turn += 1) {
        for (let number = 0; number < 40; number += 1)
          writeFileSync(${JSON.stringify(place.path)} + '/f' + number, (process.pid + ' ' + turn + '\\n').repeat(3000))
        await backend.capture({ label: 'x' })
      }`
    for (let round = 0; round < rounds; round += 1) {
      const child = await startProcess(program)
      // At another moment each time, and never twice at the same step.
      const seen = new Set<string>()
      while (child.exitCode === null && seen.size < 2 + round * stride) {
        for (const path of listFiles(place.stateDirectory)) seen.add(path)
        await new Promise((resolve) => setImmediate(resolve))
      }
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    const backend = await openSnapshotBackend({ ...place, strategy })
    const snapshot = await backend.capture({ label: 'x' })
    if (strategy === 'hash') {
      // It takes no lock, so that young files may be those of a living process.
      await collectState(place, { now: Date.now() + 20 * 60_000 })
    }
    expect(litter(place.stateDirectory)).toEqual([])
    expect((await backend.capture({ label: 'x' })).ref).toBe(snapshot.ref)
  })
})

it.each(['git', 'bundle'] as const)(
  'a lock that a killed process held is taken over by the %s backend, which says so (case 75)',
  async (strategy) => {
    const place = prepare()
    writeFileSync(join(place.path, 'new.txt'), 'new')
    const child = await startProcess(`
      const { openSnapshotBackend } = await import(${JSON.stringify(opener)})
      const backend = await openSnapshotBackend(${JSON.stringify({ ...place, strategy })})
      const onProgress = () => {
        console.log('go')
        process.kill(process.pid, 'SIGSTOP')
      }
      await backend.capture({ label: 'x', onProgress })`)
    child.kill('SIGKILL')
    await once(child, 'close')
    const backend = await openSnapshotBackend({ ...place, strategy })
    const { notes } = await backend.capture({ label: 'x' })
    expect(notes).toEqual([expect.stringContaining(`process ${child.pid}`)])
    expect((await backend.capture({ label: 'x' })).notes).toBeUndefined()
  },
)

describe.each(['git', 'bundle'] as const)('a collection of the %s backend', (strategy) => {
  it('beside captures of other processes, and killed again and again, loses nothing that is kept', async () => {
    const place = prepare()
    const backend = await openSnapshotBackend({ ...place, strategy })
    const capturing = `
      const { openSnapshotBackend } = await import(${JSON.stringify(opener)})
      const { writeFileSync } = await import('node:fs')
      const backend = await openSnapshotBackend(${JSON.stringify({ ...place, strategy })})
      console.log('go')
      for (let turn = 0; turn < 12; turn += 1) {
        writeFileSync(${JSON.stringify(place.path)} + '/own' + process.pid, ('' + turn % 3).repeat(10_000 + turn % 3))
        await backend.capture({ label: 'snapshot' })
      }`
    const collecting = `
      const { collectState } = await import(${JSON.stringify(collector)})
      console.log('go')
      for (;;) await collectState({ ...${JSON.stringify(place)}, maxSnapshotBytes: 1 }, { now: Date.now() + 5 * 60 * 60_000 })
        .catch((error) => { if (error.code !== 'BUSY') { console.error(error); process.exit(1) } })`
    const captures = await Promise.all([startProcess(capturing), startProcess(capturing)])
    const ended = Promise.all(captures.map((child) => once(child, 'close')))
    let isOver = false
    void ended.then(() => (isOver = true))
    while (!isOver) {
      const child = await startProcess(collecting)
      for (let turn = 0; turn < 30 && !isOver; turn += 1)
        await new Promise((resolve) => setTimeout(resolve, 5))
      expect(child.exitCode).toBeNull()
      child.kill('SIGKILL')
      await once(child, 'close')
    }
    expect((await ended).map(([code]) => code as number)).toEqual([0, 0])
    const kept = await backend.capture({ label: 'x' })
    writeFileSync(join(place.path, 'a.txt'), 'spoilt')
    await collectState({ ...place, maxSnapshotBytes: 1 }, { now: Date.now() + 5 * 60 * 60_000 })
    expect((await backend.rollback(kept)).verified).toBe(true)
    expect(litter(place.stateDirectory)).toEqual([])
  })
})
