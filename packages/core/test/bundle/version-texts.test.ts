import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { createBundleStore, type ObjectStore, type SaveOptions } from '../../src/index.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

const CUT = 'done \u{1f389}'.slice(0, -1)

async function savedWith(details: object): Promise<{ readonly store: ObjectStore; readonly path: string }> {
  const store = memoryStore()
  const path = temporaryDirectory()
  writeFiles(path, { a: 'x' })
  await createBundleStore(store).save('w', path, { message: 'one', ...details })
  return { store, path }
}

/** By somebody who has not made them. */
async function readAll(store: ObjectStore, path: string): Promise<void> {
  const reader = createBundleStore(store)
  await reader.load('w', path)
  await reader.save('w', path, { message: 'next' })
  await reader.prune(null)
  await reader.usage()
  await Array.fromAsync(reader.list())
}

describe('what is said of a version', () => {
  it('may be a text that was cut inside of a character: every reader can read the version', async () => {
    const { store, path } = await savedWith({ message: CUT, author: CUT, metadata: { [CUT]: CUT } })
    await createBundleStore(store).fork('w', 'fork', { message: CUT, author: CUT })
    await readAll(store, path)
    const kept = 'done \ufffd'
    expect(await createBundleStore(store).version('w', { version: 1 })).toMatchObject({
      message: kept,
      author: kept,
      metadata: { [kept]: kept },
    })
    expect(await createBundleStore(store).version('fork')).toMatchObject({ message: kept, author: kept })
  })

  it.each([
    ['author', 7],
    ['author', {}],
    ['metadata', { count: 7 }],
    ['metadata', ['x']],
    ['metadata', 'x'],
    ['metadata', null],
    ['template', 'no'],
    ['template', null],
    ['tags', 'release'],
    ['tags', [7]],
    ['message', 'x'.repeat(1024 * 1024)],
    ['tags', Array.from({ length: 9000 }, (_, index) => `${index}`.padEnd(120, 'x'))],
    ['parent', -1],
    ['parent', '1'],
    ['onConflict', 'Fail'],
    ['onConflict', null],
  ])('is refused before anything is stored when it could not be read again: %s', async (name, value) => {
    const { store, path } = await savedWith({})
    const before = (await Array.fromAsync(store.list(''))).map(({ key }) => key)
    const bundles = createBundleStore(store)
    const details = { message: 'two', [name]: value } as SaveOptions & { message: string }
    await expect(bundles.save('w', path, details)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    if (name !== 'parent' && name !== 'onConflict' && name !== 'tags') {
      const fork = bundles.fork('w', 'fork', { [name]: value })
      await expect(fork).rejects.toMatchObject({ code: 'INVALID_INPUT' })
    }
    expect((await Array.fromAsync(store.list(''))).map(({ key }) => key)).toEqual(before)
    await readAll(store, path)
  })

  it('has a time that a record can hold, or is not saved', async () => {
    const { store, path } = await savedWith({})
    for (const time of [Number.NaN, 8.64e15, -8.64e15]) {
      const bundles = createBundleStore(store, { clock: () => new Date(time) })
      await expect(bundles.save('w', path, { message: 'two' })).rejects.toMatchObject({
        code: 'INVALID_INPUT',
        details: { option: 'clock' },
      })
    }
    await readAll(store, path)
  })
})
