import { spawnSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { withKeyLock } from '../src/key-lock.ts'
import { openFolders } from '../src/store-folders.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'key-lock-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Takes the lock, or with `behind` its place behind a dead holder, in another process that then dies. */
function dieHolding(behind: boolean): void {
  const source = join(import.meta.dirname, '../src')
  const main = `
    import fs from 'node:fs'
    import { syncBuiltinESMExports } from 'node:module'
    if (${behind}) {
      fs.renameSync = () => process.kill(process.pid, 'SIGKILL')
      syncBuiltinESMExports()
    }
    const { withKeyLock } = await import(${JSON.stringify(join(source, 'key-lock.ts'))})
    const { openFolders } = await import(${JSON.stringify(join(source, 'store-folders.ts'))})
    await withKeyLock(openFolders(${JSON.stringify(root)}), 'key', undefined, () => process.kill(process.pid, 'SIGKILL'))`
  const { signal } = spawnSync(process.execPath, [
    '--conditions=@ws/source',
    '--input-type=module-typescript',
    '-e',
    main,
  ])
  expect(signal).toBe('SIGKILL')
}

it('takes over from holders that were killed, one behind the other, and leaves nothing', async () => {
  dieHolding(false)
  dieHolding(true)
  dieHolding(true)
  const locks = join(root, '%ws', 'locks')
  expect(readdirSync(locks).length).toBe(3)
  const held = await withKeyLock(openFolders(root), 'key', undefined, () => readdirSync(locks).length)
  expect(held).toBe(1)
  expect(readdirSync(locks)).toEqual([])
})

it('ends its waiting with the reason of the signal', async () => {
  const holder = openFolders(root)
  const waiter = openFolders(root)
  const controller = new AbortController()
  const reason = new Error('enough')
  let waiting: Promise<unknown> = Promise.resolve()
  await withKeyLock(holder, 'key', undefined, () => {
    waiting = withKeyLock(waiter, 'key', controller.signal, () => 'inside').catch((error: unknown) => error)
    controller.abort(reason)
  })
  expect(await waiting).toBe(reason)
})
