import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { mountSmallDisk } from '../../support/small-disk.ts'
import { runUserGit } from '../git/git-fixture.ts'
import { backends, createRollbackFixture, describeTree, openRollbackBackend } from './rollback-fixture.ts'

describe.each(backends)('a rollback by %s during which the disk of the state directory runs full', (name) => {
  it('brings the state before it back, and works once there is room (case 56)', async () => {
    const { path, outside, write } = createRollbackFixture(name)
    const stateDirectory = mountSmallDisk(join(outside, 'disk'), 6)
    for (let number = 0; number < 50; number += 1) write(`many/${number}`, `${number}\n`)
    const backend = await openRollbackBackend(name, path, stateDirectory)
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    for (let number = 0; number < 50; number += 1) write(`many/${number}`, 'agent')
    for (const made of ['a.txt', 'made.txt']) write(made, 'agent')
    rmSync(join(path, 'src'), { recursive: true })
    const state = describeTree(path)
    const rest = join(stateDirectory, 'rest.bin')
    const fill = () => {
      for (const step of [65_536, 4096, 512])
        for (let isRoom = true; isRoom;) {
          try {
            writeFileSync(rest, Buffer.alloc(step), { flag: 'a' })
          } catch {
            isRoom = false
          }
        }
    }
    const rollback = backend.rollback(before, {
      onProgress: ({ phase, filesDone, filesExpected }) => {
        if (phase === 'write' && filesDone === filesExpected) fill()
      },
    })
    await expect(rollback).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED',
      message: expect.stringContaining(stateDirectory) as string,
    })
    expect(describeTree(path)).toEqual(state)
    rmSync(rest)
    expect((await backend.capture({ label: 'after' })).metadata.recovery).toBeUndefined()
    expect((await backend.rollback(before)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
  })
})

describe.each(backends)('a rollback by %s for which the disk of the workspace has no room', (name) => {
  it('brings the state before it back and names what had no room, and works once there is some (case 56)', async () => {
    const { outside } = createRollbackFixture(name)
    const path = join(mountSmallDisk(join(outside, 'disk'), 2), 'work')
    mkdirSync(path)
    if (name === 'git') runUserGit(path, 'init', '-q')
    for (let number = 0; number < 9; number += 1) writeFileSync(join(path, `${number}`), Buffer.alloc(50_000))
    const backend = await openRollbackBackend(name, path, join(outside, 'state'))
    const before = await backend.capture({ label: 'before' })
    const original = describeTree(path)
    for (let number = 0; number < 9; number += 1) writeFileSync(join(path, `${number}`), 'agent')
    const state = describeTree(path)
    const rest = join(path, '../rest.bin')
    expect(() => writeFileSync(rest, Buffer.alloc(3_000_000))).toThrow('ENOSPC')
    await expect(backend.rollback(before)).rejects.toMatchObject({
      code: 'QUOTA_EXCEEDED',
      message: expect.stringMatching(/in the workspace, "\d": the disk is full/) as string,
    })
    expect(describeTree(path)).toEqual(state)
    rmSync(rest)
    expect((await backend.rollback(before)).verified).toBe(true)
    expect(describeTree(path)).toEqual(original)
  })
})
