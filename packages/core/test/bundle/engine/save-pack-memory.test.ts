import { hash, randomBytes } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { verifyVersion } from '../../../src/bundle/engine/maintain/verify-version.ts'
import type { ObjectStore } from '../../../src/store/object-store.ts'
import { collectGarbage } from '../../support/collect-garbage.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { recordOf, startSaving } from './save-session.ts'

const MEBIBYTE = 1024 * 1024

interface Log {
  packs: number
  shared: number
  changed: number
}

/** Looks at the bytes of a pack until the last moment at which it may. */
function lateStore(log: Log, named: { readonly directory?: string }): ObjectStore {
  const inner = memoryStore()
  return {
    ...inner,
    ...named,
    async put(key, body, options) {
      if (!(body instanceof Uint8Array) || body.length < MEBIBYTE) return inner.put(key, body, options)
      const before = hash('sha256', body)
      const info = await inner.put(key, body, options)
      for (let turn = 0; turn < 300; turn += 1) await setImmediate()
      log.packs += 1
      if (body.buffer instanceof SharedArrayBuffer) log.shared += 1
      if (hash('sha256', body) !== before) log.changed += 1
      return info
    },
  }
}

it.each<[string, { readonly directory?: string }]>([
  ['the thread that saves handed over', {}],
  ['both threads see, for a store that writes files', { directory: '/nowhere' }],
])('uses memory of a pack again that %s only when the store is done with it', async (_, named) => {
  const directory = temporaryDirectory()
  const noise = randomBytes(2 * MEBIBYTE)
  const files: Record<string, Uint8Array> = {}
  for (let index = 0; index < 40; index += 1) {
    for (let at = 0; at < noise.length; at += 8192) noise.writeUInt32LE(index, at)
    files[`noise-${index}`] = Uint8Array.from(noise)
  }
  writeFiles(directory, files)
  const log = { packs: 0, shared: 0, changed: 0 }
  const session = await startSaving(directory, null, { store: lateStore(log, named) })
  const saved = await session.save()
  expect(saved.packs.length).toBeGreaterThanOrEqual(5)
  expect(log.packs).toBeGreaterThanOrEqual(5)
  expect(log.shared).toBe(named.directory === undefined ? 0 : log.packs)
  expect(log.changed).toBe(0)
  const verified = await verifyVersion(session.repository, recordOf(saved, 1))
  expect(verified.problems).toEqual([])
})

it('leaves the memory of a pack that the store has failed to take to whoever may still read it', async () => {
  const directory = temporaryDirectory()
  writeFiles(directory, { noise: randomBytes(30 * MEBIBYTE) })
  const refused: { readonly body: Uint8Array; readonly hash: string }[] = []
  const inner = memoryStore()
  const store: ObjectStore & { readonly directory: string } = {
    ...inner,
    directory: '/nowhere',
    async put(key, body, options) {
      const isPack = body instanceof Uint8Array && body.length >= MEBIBYTE
      if (!isPack || refused.length > 0) return inner.put(key, body, options)
      refused.push({ body, hash: hash('sha256', body) })
      throw new Error('the disk is away')
    },
  }
  const session = await startSaving(directory, null, { store })
  await expect(session.save()).rejects.toThrow('the disk is away')
  writeFiles(directory, { noise: randomBytes(40 * MEBIBYTE) })
  await session.save()
  const [first] = refused
  expect(first?.body.buffer).toBeInstanceOf(SharedArrayBuffer)
  expect(hash('sha256', first?.body ?? Buffer.of())).toBe(first?.hash)
})

it('keeps little of what a save in this thread has taken for the next one, however many there are', async () => {
  const directory = temporaryDirectory()
  const write = (text: string): void =>
    writeFiles(directory, { noise: randomBytes(3 * MEBIBYTE), text: text.repeat(400_000) })
  write('words, ')
  collectGarbage()
  const before = process.memoryUsage().arrayBuffers
  const session = await startSaving(directory, temporaryDirectory())
  const saved = [await session.save()]
  await setImmediate()
  // What the store holds; a chunker, four buffers, the output of three encoders; and a little for everything else.
  const kept = process.memoryUsage().arrayBuffers - before
  expect(kept).toBeLessThan((3 + 2 + 8 + 7 + 2) * MEBIBYTE)

  for (const text of ['other ', 'more words, ', 'the last ones, ']) {
    write(text)
    saved.push(await session.save())
  }
  await setImmediate()
  collectGarbage()
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(kept + (3 * 3 + 2) * MEBIBYTE)
  for (const [index, each] of saved.entries()) {
    const verified = await verifyVersion(session.repository, recordOf(each, index + 1))
    expect(verified.problems).toEqual([])
  }
})
