import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { expect, it } from 'vitest'
import { createBundle, createBundleStore } from '../../src/index.ts'
import { temporaryDirectory, writeFiles } from '../support/temporary-directory.ts'

const trees = {
  small: 3,
  // Saved in a thread, and written in some.
  large: 4_000,
}

it.each(Object.entries(trees))(
  'what a progress listener throws is what its call rejects with, and nothing is done: a %s tree',
  async (_, count) => {
    const directory = temporaryDirectory()
    const names = Array.from({ length: count }, (__, index) => `d-${index % 40}/${index}`)
    writeFiles(directory, Object.fromEntries(names.map((name) => [name, `${name}\n`.repeat(20)])))
    const store = createBundleStore(memoryStore())
    const reason = new TypeError('the listener is broken')
    const options = {
      onProgress: () => {
        throw reason
      },
    }
    for (const cacheDirectory of [undefined, temporaryDirectory()])
      await expect(store.save('w', directory, { message: 'x', cacheDirectory, ...options })).rejects.toBe(
        reason,
      )
    await expect(store.upload('w', createBundle(directory), options)).rejects.toBe(reason)
    await expect(
      store.upload('w', createBundle(directory), {
        onProgress: ({ step }) => step === 'save' && options.onProgress(),
      }),
    ).rejects.toBe(reason)
    expect(await store.exists('w')).toBe(false)
    expect((await store.usage()).totalBytes).toBe(0)

    await store.save('w', directory, { message: 'x' })
    const target = join(temporaryDirectory(), 'target')
    await expect(store.load('w', target, options)).rejects.toBe(reason)
    expect(existsSync(target)).toBe(false)
    await expect(store.verify('w', options)).rejects.toBe(reason)
    await expect(store.prune({ keepLast: 1 }, options)).rejects.toBe(reason)
    expect((await store.load('w', target))?.report.files).toBe(count)
  },
)
