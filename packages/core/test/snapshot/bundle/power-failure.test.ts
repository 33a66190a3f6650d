import { mkdirSync, readdirSync, readFileSync, renameSync, rmdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createFixture, describeTree } from './bundle-fixture.ts'

/** What a file system makes of a file that was not flushed. */
const spoilings: readonly [name: string, spoil: (content: Buffer) => Buffer][] = [
  ['empty', () => Buffer.alloc(0)],
  ['cut', (content) => content.subarray(0, content.length / 2)],
  ['full of zeros', (content) => Buffer.alloc(content.length)],
]

describe.each(spoilings)('files that a power failure left %s', (_, spoil) => {
  it('cost the snapshots that were taken last, and none before or after them', async () => {
    const { path, stateDirectory, open, write } = createFixture()
    const taken = await (await open()).capture({ label: 'taken' })
    const original = describeTree(path)
    write('a.txt', 'second')
    const lost = [await (await open()).capture({ label: 'lost' })]
    write('a.txt', 'third')
    lost.push(await (await open()).capture({ label: 'lost' }))
    const records = recordsIn(join(stateDirectory, 'bundle/store/workspaces'))
    expect(records).toHaveLength(3)
    // The newest sorts first.
    for (const record of records.slice(0, 2)) writeFileSync(record, spoil(readFileSync(record)))

    const backend = await open()
    await expect(backend.capture({ label: 'after' })).resolves.toMatchObject({
      coverage: { complete: true },
      notes: [expect.stringContaining('2 snapshots are gone')],
    })
    write('a.txt', 'fourth')
    expect((await backend.rollback(taken)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
    for (const snapshot of lost)
      await expect(backend.rollback(snapshot)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  })

  it('keep no snapshot away where they say what the store is', async () => {
    const { path, stateDirectory, open, write } = createFixture()
    const taken = await (await open()).capture({ label: 'taken' })
    const original = describeTree(path)
    const marker = join(stateDirectory, 'bundle/store/format')
    writeFileSync(marker, spoil(readFileSync(marker)))
    write('a.txt', 'second')
    const backend = await open()
    const second = await backend.capture({ label: 'second' })
    expect((await backend.rollback(taken)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
    expect((await backend.rollback(second)).restored).toEqual(['a.txt'])
  })
})

it.each(['what says what it is', 'a record'])(
  'a directory that somebody has put in the store in the place of %s is named, with what to do, and nothing else is changed',
  async (what) => {
    const { path, stateDirectory, open, write } = createFixture()
    const taken = await (await open()).capture({ label: 'taken' })
    write('a.txt', 'second')
    const tree = describeTree(path)
    const store = join(stateDirectory, 'bundle/store')
    const [record = ''] = recordsIn(join(store, 'workspaces'))
    const place = what === 'a record' ? record : join(store, 'format')
    const aside = join(stateDirectory, 'aside')
    renameSync(place, aside)
    mkdirSync(place)
    const refusal = {
      code: 'CORRUPT',
      message: expect.stringContaining(`Move ${place} away, then try again.`) as unknown,
      details: { path: place },
    }
    await expect(open().then((backend) => backend.capture({ label: 'x' }))).rejects.toMatchObject(refusal)
    await expect(open().then((backend) => backend.rollback(taken))).rejects.toMatchObject(
      what === 'a record' ? { code: 'NOT_FOUND' } : refusal,
    )
    expect(describeTree(path)).toEqual(tree)
    rmdirSync(place)
    renameSync(aside, place)
    expect((await (await open()).rollback(taken)).verified).toBe(true)
  },
)

function recordsIn(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => join(parentPath, name))
    .toSorted()
}
