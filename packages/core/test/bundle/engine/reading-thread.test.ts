import { randomBytes } from 'node:crypto'
import {
  appendFileSync,
  lstatSync,
  renameSync,
  rmSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { fileStats } from '../../../src/bundle/engine/known/file-stats.ts'
import { MAX_BATCH_BYTES } from '../../../src/bundle/engine/save/reading-messages.ts'
import { readingThread } from '../../../src/bundle/engine/save/reading-thread.ts'
import { readFilesAhead, type FilesAhead } from '../../../src/bundle/engine/save/files-ahead.ts'
import { createChunker } from '../../../src/bundle/format/chunker.ts'
import { contentIdOf } from '../../../src/bundle/format/content-id.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'

type Taken = Record<string, readonly { readonly id: string; readonly text: string }[] | null>

const statsOf = (path: string): ReturnType<typeof fileStats> => fileStats(lstatSync(path, { bigint: true }))

function start(): FilesAhead {
  const thread = readingThread()
  if (thread === null) throw new Error('this machine has one core')
  return readFilesAhead(thread, null)
}

async function takeAll(ahead: FilesAhead): Promise<void> {
  for (let next = ahead.next(); next !== null; next = ahead.next()) {
    await next
    while (ahead.takeReady());
  }
}

function writeNumbered(count: number): { readonly directory: string; readonly names: string[] } {
  const directory = temporaryDirectory()
  const names = Array.from({ length: count }, (_, index) => `file-${index}`)
  writeFiles(directory, Object.fromEntries(names.map((name) => [name, `content of ${name}\n`])))
  return { directory, names }
}

it('reads and identifies files in another thread', async () => {
  const { directory, names } = writeNumbered(300)
  const ahead = start()
  const taken: Taken = {}
  for (const name of names) {
    const path = join(directory, name)
    const isTaken = ahead.offer(path, statsOf(path), (chunks) => {
      taken[name] = chunks?.map(({ id, content }) => ({ id, text: content.toString() })) ?? null
    })
    expect(isTaken).toBe(true)
  }
  await takeAll(ahead)
  for (const name of names) {
    const text = `content of ${name}\n`
    expect(taken[name]).toEqual([{ id: contentIdOf(Buffer.from(text), null), text }])
  }
})

it('cuts those of more than one chunk, and gives back what has holes', async () => {
  const directory = temporaryDirectory()
  const contents = [70_000, 300_000, MAX_BATCH_BYTES - 1, MAX_BATCH_BYTES].map((bytes) => randomBytes(bytes))
  writeFiles(directory, Object.fromEntries(contents.map((content, index) => [`file-${index}`, content])))
  const holes = join(directory, 'holes')
  writeFileSync(holes, 'content')
  truncateSync(holes, 300_000)
  const chunker = createChunker(null, MAX_BATCH_BYTES)
  const ahead = start()
  for (const [index, content] of contents.entries()) {
    const path = join(directory, `file-${index}`)
    const isTaken = ahead.offer(path, statsOf(path), (chunks) => {
      expect(Buffer.concat(chunks?.map((chunk) => chunk.content) ?? [])).toEqual(content)
      content.copy(chunker.buffer)
      let first = 0
      for (const chunk of chunks ?? []) {
        expect(chunk.content.length).toBe(chunker.cut(first, content.length) - first)
        expect(chunk.id).toBe(contentIdOf(chunk.content, null))
        first += chunk.content.length
      }
    })
    expect(isTaken).toBe(true)
  }
  await takeAll(ahead)
  let withHoles: unknown
  ahead.offer(holes, statsOf(holes), (chunks) => (withHoles = chunks))
  await takeAll(ahead)
  expect(withHoles).toBeNull()
})

it('gives back what is not there any more as it was seen', async () => {
  const { directory, names } = writeNumbered(6)
  const [kept = '', longer = '', rewritten = '', replaced = '', gone = '', link = ''] = names
  const seen = names.map((name) => statsOf(join(directory, name)))
  const at = (name: string): string => join(directory, name)
  appendFileSync(at(longer), 'more')
  const { atimeMs, mtimeMs, size } = lstatSync(at(rewritten))
  writeFileSync(at(rewritten), 'x'.repeat(size))
  utimesSync(at(rewritten), atimeMs / 1000, mtimeMs / 1000)
  writeFileSync(at('other'), 'x'.repeat(size))
  renameSync(at('other'), at(replaced))
  rmSync(at(gone))
  rmSync(at(link))
  symlinkSync(kept, at(link))
  const ahead = start()
  const taken: Taken = {}
  names.forEach((name, index) => {
    const stats = seen[index]
    if (stats === undefined) throw new Error('not seen')
    ahead.offer(at(name), stats, (chunks) => {
      taken[name] = chunks?.map(({ id, content }) => ({ id, text: content.toString() })) ?? null
    })
  })
  await takeAll(ahead)
  const nothing = { [longer]: null, [rewritten]: null, [replaced]: null, [gone]: null, [link]: null }
  expect(taken).toEqual({ ...nothing, [kept]: [expect.objectContaining({ text: `content of ${kept}\n` })] })
})

it('takes no more than a few batches, and gives back all of them when the thread dies', async () => {
  const { directory, names } = writeNumbered(1)
  const path = join(directory, names[0] ?? '')
  const ahead = start()
  const seen = statsOf(path)
  let given = 0
  let back = 0
  // More than the memory of a batch: no save offers it, and the thread cannot read it.
  const stats = { ...seen, size: MAX_BATCH_BYTES + 1 }
  while (ahead.offer(path, stats, (chunks) => (back += chunks === null ? 1 : 0))) given += 1
  expect(given).toBeLessThan(10)
  await takeAll(ahead)
  expect(back).toBe(given)
  const again = start()
  let id: string | null = null
  again.offer(path, seen, (chunks) => (id = chunks?.[0]?.id ?? null))
  await takeAll(again)
  expect(id).toBe(contentIdOf(Buffer.from(`content of ${names[0]}\n`), null))
})
