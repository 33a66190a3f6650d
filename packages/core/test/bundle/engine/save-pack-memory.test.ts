import { hash, randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { verifyVersion } from '../../../src/bundle/engine/verify-version.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { recordOf, startSaving } from './save-session.ts'

const MEBIBYTE = 1024 * 1024

/** Looks at the bytes of a pack until the last moment at which it may. */
function lateStore(log: { packs: number; changed: number }): ObjectStore {
  const inner = memoryStore()
  return {
    ...inner,
    async put(key, body, options) {
      if (!(body instanceof Uint8Array) || body.length < MEBIBYTE) return inner.put(key, body, options)
      const before = hash('sha256', body)
      const info = await inner.put(key, body, options)
      for (let turn = 0; turn < 300; turn += 1) await setImmediate()
      log.packs += 1
      if (hash('sha256', body) !== before) log.changed += 1
      return info
    },
  }
}

it('uses the memory of a pack again only when the store is done with it', async () => {
  const directory = temporaryDirectory()
  const noise = randomBytes(2 * MEBIBYTE)
  const files: Record<string, Uint8Array> = {}
  for (let index = 0; index < 40; index += 1) {
    for (let at = 0; at < noise.length; at += 8192) noise.writeUInt32LE(index, at)
    files[`noise-${index}`] = Uint8Array.from(noise)
  }
  writeFiles(directory, files)
  const log = { packs: 0, changed: 0 }
  const session = await startSaving(directory, null, { store: lateStore(log) })
  const saved = await session.save()
  expect(saved.packs.length).toBeGreaterThanOrEqual(5)
  expect(log.packs).toBeGreaterThanOrEqual(5)
  expect(log.changed).toBe(0)
  const verified = await verifyVersion(session.repository, recordOf(saved, 1))
  expect(verified.problems).toEqual([])
})
