import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it, onTestFinished, vi } from 'vitest'
import { measureStore } from '../../../src/snapshot/git/maintain/measure-store.ts'
import { pauser } from '../../../src/snapshot/git/table/pause.ts'
import { openPrivateRepository } from '../../../src/snapshot/git/private/private-repository.ts'
import { sweepStore } from '../../../src/snapshot/git/maintain/sweep-store.ts'
import { createScratch } from './git-fixture.ts'

it('a snapshot never waits for more than a slice of a collection, however much there is to remove (case 66)', async () => {
  const own = await openPrivateRepository(createScratch(), 'sha1')
  const ids = Array.from({ length: 100 }, (_, index) => index.toString(16).padStart(40, '0'))
  const pathOf = (id: string) => join(own.directory, 'objects', id.slice(0, 2), id.slice(2))
  for (const id of ids) {
    mkdirSync(join(pathOf(id), '..'), { recursive: true })
    writeFileSync(pathOf(id), 'x')
  }
  const contents = await measureStore(own, pauser())
  let clock = 0
  vi.spyOn(performance, 'now').mockImplementation(() => (clock += 4))
  onTestFinished(() => void vi.restoreAllMocks())
  const left = () => ids.filter((id) => existsSync(pathOf(id))).length
  const removedAtOnce: number[] = []
  const locked = async <T>(work: () => T | Promise<T>): Promise<T> => {
    const before = left()
    const result = await work()
    removedAtOnce.push(before - left())
    return result
  }
  const plan = { kept: [], newestTree: null, needed: new Set<string>(), expired: new Set<string>(), contents }
  await sweepStore(own, plan, locked, undefined)
  expect(left()).toBe(0)
  expect(Math.max(...removedAtOnce)).toBeLessThanOrEqual(5)
})
