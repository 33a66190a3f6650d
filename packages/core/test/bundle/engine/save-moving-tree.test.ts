import { Buffer } from 'node:buffer'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'
import { describe, expect, it, onTestFinished } from 'vitest'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { startSaving } from './save-session.ts'
import { listDirectory, listSaved } from './saved-files.ts'

const support = new URL('.', import.meta.url).pathname

/** Runs a program beside the test until the test is over; resolves when it has said that it is ready. */
async function runBeside(source: string, ...arguments_: string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source, ...arguments_], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  await once(child.stdout ?? child, 'data')
  return child
}

describe('saving a directory while somebody writes in it', () => {
  it('never stores a mixture of two contents of a file as if it were whole', async () => {
    const directory = temporaryDirectory()
    const size = 5_000_000
    for (let index = 0; index < 2; index += 1)
      writeFileSync(join(directory, `file-${index}`), Buffer.alloc(size, 'a'))
    await runBeside(
      `import { openSync, writeSync, ftruncateSync } from 'node:fs'
       const fds = [0, 1].map((index) => openSync(process.argv[1] + '/file-' + index, 'r+'))
       console.log('ready')
       for (let round = 0; ; round += 1)
         for (const fd of fds) {
           const letter = String.fromCharCode(97 + (round % 26))
           for (let at = 0; at < ${size}; at += 250000) writeSync(fd, letter.repeat(250000), at)
         }`,
      directory,
    )
    const session = await startSaving(directory, temporaryDirectory())
    let stored = 0
    let unstable = 0
    for (let round = 0; round < 12; round += 1) {
      const saved = await session.save()
      unstable += saved.unstable.length
      const contents = await readFiles(session.repository, saved)
      for (const content of Object.values(contents)) {
        stored += 1
        expect(content.length).toBe(size)
        // A file is written from the front: at any moment it is one letter, then the letter before that one.
        const first = content[0] ?? 0
        const last = content[size - 1] ?? 0
        expect(content.lastIndexOf(first) + 1).toBe(first === last ? size : content.indexOf(last))
        expect([last, ((last - 97 + 1) % 26) + 97]).toContain(first)
      }
    }
    expect(stored + unstable).toBeGreaterThan(0)
  })

  it('never reads a file outside, however often a directory is swapped for a link', async () => {
    const directory = temporaryDirectory()
    const outside = temporaryDirectory()
    const names = ['one', 'two', 'three']
    for (const name of names) {
      writeFiles(directory, { [`real/${name}`]: 'inside' })
      writeFiles(outside, { [name]: 'TOP SECRET' })
    }
    await runBeside(
      `import { renameSync, symlinkSync, unlinkSync } from 'node:fs'
       const [, directory, outside] = process.argv
       const hold = (round) => {
         const end = process.hrtime.bigint() + BigInt(200000 * (1 + ((round * 7) % 12)))
         while (process.hrtime.bigint() < end);
       }
       console.log('ready')
       for (let round = 0; ; round += 1) {
         renameSync(directory + '/real', directory + '/aside')
         symlinkSync(outside, directory + '/real')
         hold(round)
         unlinkSync(directory + '/real')
         renameSync(directory + '/aside', directory + '/real')
         hold(round + 5)
       }`,
      directory,
      outside,
    )
    const session = await startSaving(directory, temporaryDirectory())
    for (let round = 0; round < 150; round += 1) {
      const saved = await session.save()
      for (const content of Object.values(await readFiles(session.repository, saved))) {
        expect(content.toString()).toBe('inside')
      }
    }
  })

  it('keeps going when files come and go', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, { 'steady.txt': 'always here' })
    await runBeside(
      `import { mkdirSync, renameSync, rmSync, writeFileSync, appendFileSync } from 'node:fs'
       const root = process.argv[1]
       console.log('ready')
       for (let round = 0; ; round += 1) {
         mkdirSync(root + '/dir-' + round)
         writeFileSync(root + '/dir-' + round + '/file', 'x'.repeat(round % 5000))
         appendFileSync(root + '/log', 'line ' + round + '\\n')
         if (round > 20) rmSync(root + '/dir-' + (round - 20), { recursive: true, force: true })
         if (round % 7 === 0) renameSync(root + '/dir-' + round, root + '/moved-' + (round % 3) + '-' + round)
       }`,
      directory,
    )
    const session = await startSaving(directory, temporaryDirectory())
    for (let round = 0; round < 40; round += 1) {
      const saved = await session.save()
      const files = await readFiles(session.repository, saved)
      expect(files['steady.txt']?.toString()).toBe('always here')
      for (const { reason } of saved.skipped) expect(['vanished', 'special-file']).toContain(reason)
    }
  })
})

describe('saving as somebody who may not read everything', () => {
  it('lists what it could not read and stores the rest', async () => {
    const directory = temporaryDirectory()
    writeFiles(directory, { 'open.txt': 'readable', 'closed.txt': 'secret', 'closed/inner.txt': 'secret' })
    chmodSync(directory, 0o755)
    chmodSync(join(directory, 'closed.txt'), 0o000)
    chmodSync(join(directory, 'closed'), 0o000)
    const result = await runSave(directory, process.getuid?.() === 0 ? 65_534 : undefined)
    expect(JSON.parse(result)).toEqual({
      skipped: [
        { path: 'closed', reason: 'unreadable' },
        { path: 'closed.txt', reason: 'unreadable' },
      ],
      files: 1,
    })
  })
})

describe('a process that is killed while it saves', () => {
  it('leaves the versions before readable, and the next save works', async () => {
    const directory = temporaryDirectory()
    const root = temporaryDirectory()
    const cache = temporaryDirectory()
    for (let index = 0; index < 400; index += 1)
      writeFiles(directory, { [`dir-${index % 9}/file-${index}`]: `text ${index}` })
    const repository = await openRepository(localStore({ root }))
    const session = await startSaving(directory, cache, { store: localStore({ root }) })
    const first = await session.save()
    const before = listDirectory(directory)
    for (let index = 0; index < 400; index += 2)
      writeFiles(directory, { [`dir-${index % 9}/file-${index}`]: `changed ${index}` })
    for (const killAt of [1, 60, 150, 200, 201, 202]) {
      const child = spawn(
        process.execPath,
        [
          '--conditions=@ws/source',
          join(support, 'killed-save.ts'),
          root,
          directory,
          cache,
          String(killAt),
          JSON.stringify(first),
        ],
        { stdio: ['ignore', 'ignore', 'inherit'] },
      )
      const [, signal] = (await once(child, 'exit')) as [number | null, string | null]
      expect(signal).toBe('SIGKILL')
      expect(await listSaved(repository, first)).toEqual(before)
    }
    const saved = await session.save()
    expect(await listSaved(session.repository, saved)).toEqual(listDirectory(directory))
  })
})

async function runSave(directory: string, uid: number | undefined): Promise<string> {
  const ids = uid === undefined ? {} : { uid, gid: uid }
  const child = spawn(
    process.execPath,
    ['--conditions=@ws/source', join(support, 'unprivileged-save.ts'), directory],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
      ...ids,
    },
  )
  let output = ''
  for await (const part of child.stdout) output += String(part)
  return output
}

async function readFiles(
  repository: Parameters<typeof listSaved>[0],
  saved: Parameters<typeof listSaved>[1],
): Promise<Record<string, Buffer>> {
  const files: Record<string, Buffer> = {}
  await listSaved(repository, saved, (path, content) => void (files[path] = content))
  return files
}
