import { execFileSync } from 'node:child_process'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { localStore } from '@ws/store-local'
import { WorkspaceError } from '../../../src/errors.ts'
import type { DirectoryHandle } from '../../../src/filesystem/directory-handle.ts'
import type { FrameJob, FrameResult } from '../../../src/bundle/engine/load/restore-frame.ts'
import type { FrameWriter } from '../../../src/bundle/engine/load/restore-threads.ts'
import type { PlannedFrame, StagedFile } from '../../../src/bundle/engine/load/stage-state.ts'
import type { StagingDirectories } from '../../../src/bundle/engine/load/staging-directories.ts'
import { writeFrame } from '../../../src/bundle/engine/load/write-frame.ts'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import { temporaryDirectory } from '../../support/temporary-directory.ts'
import { listTree } from '../tree-listing.ts'
import { storeTree } from './store-tree.ts'

const script = join(import.meta.dirname, 'load-few-descriptors.ts')

it.each([
  ['in the process itself', 600],
  ['in threads', 3200],
])('loads a directory for each small file where few files may be open, %s', async (_, directories) => {
  const base = temporaryDirectory()
  const source = join(base, 'source')
  const fill = (content: string): void => {
    for (let number = 0; number < directories; number += 1) {
      mkdirSync(join(source, `d${number}`), { recursive: true })
      writeFileSync(join(source, `d${number}/file`), `${content} ${number}`)
    }
  }
  const repository = await openRepository(localStore({ root: join(base, 'store') }))
  const target = join(base, 'target')
  for (const content of ['first', 'changed']) {
    fill(content)
    writeFileSync(join(base, 'record.json'), JSON.stringify(await storeTree(repository, source)))
    const command = `ulimit -n 256 && exec "$@"`
    const node = [process.execPath, '--conditions=@ws/source', script, base, target]
    execFileSync('sh', ['-c', command, 'sh', ...node], { stdio: ['ignore', 'inherit', 'inherit'] })
    expect(listTree(target)).toEqual(listTree(source))
  }
})

describe('a frame with files in more directories than may be held', () => {
  const stored = Uint8Array.from([1, 2, 3])

  it('is written in parts, each with the frame as it was stored', async () => {
    const { jobs, held, frame, write } = setUp(() => ({}))
    const result = await write()
    expect(jobs.map(({ pieces }) => pieces.map(({ base, name }) => `${base}/${name}`))).toEqual([
      ['d0/f0', 'd0/f1', 'd1/f2', 'd1/f3'],
      ['d2/f4', 'd2/f5', 'd0/f6'],
    ])
    expect(result.files.map(({ file }) => file)).toEqual(frame.pieces.map(({ file }) => file))
    expect(held).toEqual({ most: 2, now: 0 })
  })

  it('tells which pieces of the whole frame are damaged', async () => {
    const damage = new WorkspaceError('CORRUPT', 'One chunk is not what was written.')
    const { write } = setUp((part) => (part === 1 ? { damaged: [1], damage } : {}))
    expect(await write()).toMatchObject({ damaged: [5], damage })
  })

  it('lets go of the directories when a part fails', async () => {
    const { held, jobs, write } = setUp(() => {
      throw new Error('No space is left.')
    })
    await expect(write()).rejects.toThrow('No space is left.')
    expect(held.now).toBe(0)
    expect(jobs).toHaveLength(1)
  })

  function setUp(answer: (part: number) => Partial<FrameResult>) {
    const held = { most: 0, now: 0 }
    const jobs: FrameJob[] = []
    const directories: Pick<StagingDirectories, 'mostHeld' | 'acquire' | 'release'> = {
      mostHeld: 2,
      acquire(directory) {
        held.now += 1
        held.most = Math.max(held.most, held.now)
        const handle: Partial<DirectoryHandle> = { base: `d${directory}` }
        return handle as DirectoryHandle
      },
      release: () => void (held.now -= 1),
    }
    const writer: Pick<FrameWriter, 'write'> = {
      async write(job, bytes) {
        jobs.push(job)
        expect([...bytes]).toEqual([1, 2, 3])
        // As those do that give it to a thread.
        structuredClone(bytes.buffer, { transfer: [bytes.buffer as ArrayBuffer] })
        const files = job.pieces.map(({ file }) => ({ file, inode: 0n, ctimeNs: 0n, mtimeNs: 0n }))
        return { damaged: [], damage: null, files, ...answer(jobs.length - 1) }
      },
    }
    const files = [0, 0, 1, 1, 2, 2, 0].map((directory, number) => ({
      place: { directory, name: `f${number}`, path: `f${number}` },
    }))
    const pieces = files.map((_, file) => ({ id: '', offset: 0, length: 0, file, position: 0, whole: null }))
    const frame = { pack: { packId: 'p' }, frame: 0, pieces } as unknown as PlannedFrame
    const batch = { files: files as unknown as StagedFile[] }
    const write = () =>
      writeFrame(directories as StagingDirectories, batch, writer as FrameWriter, frame, stored.slice())
    return { jobs, held, frame, write }
  }
})
