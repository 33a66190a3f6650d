import { chmodSync, chownSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { giveToPlainUser, isNamespace, plainUserDirectory, runAsPlainUser } from '../../support/plain-user.ts'
import type { Outcomes, Step } from './plain-user-load.ts'

const script = new URL('plain-user-load.ts', import.meta.url).pathname

async function runAll(
  scenarios: readonly (readonly Step[])[],
  base = plainUserDirectory(),
): Promise<Outcomes[]> {
  return JSON.parse(await runAsPlainUser(script, [base, JSON.stringify(scenarios)])) as Outcomes[]
}

async function run(steps: readonly Step[], base = plainUserDirectory()): Promise<Outcomes> {
  const [outcome] = await runAll([steps], base)
  if (outcome === undefined) throw new Error('Nothing came of it.')
  return outcome
}

const unreadable = (path: string, isInVersion = false) => ({ path, reason: 'unreadable', isInVersion })
/** Where there is a second user whose files these can be. */
const isTwoUsers = process.getuid?.() === 0 && !isNamespace

describe('an exact load by a user who may not read everything', () => {
  it('leaves what the save of the very version could not read', async () => {
    const { outcomes, tree } = await run([
      { write: { plain: '1', secret: 'only copy', 'closed/in': 'only copy', 'listed/in': 'only copy' } },
      { modes: { secret: 0, closed: 0, listed: 0o644 } },
      { save: true },
      { load: { version: 1 } },
      { load: { version: 1 } },
    ])
    const [saved, ...loads] = outcomes
    expect(saved?.skipped).toHaveLength(3)
    for (const { left, deleted } of loads) {
      expect(left).toEqual([unreadable('closed/in'), unreadable('listed/in'), unreadable('secret')])
      expect(deleted).toBe(0)
    }
    expect(tree).toEqual({
      '': '0755',
      plain: '0644 1',
      secret: '0000 only copy',
      closed: '0000',
      'closed/in': '0644 only copy',
      listed: '0644',
      'listed/in': '0644 only copy',
    })
  })

  it('tells of it also when the save has remembered the directory as an empty one', async () => {
    const { outcomes } = await run([
      { write: { plain: '1', 'closed/in': 'only copy' } },
      { modes: { closed: 0 } },
      { later: true },
      { save: true },
      { load: { version: 1 } },
    ])
    expect(outcomes[1]).toMatchObject({ left: [unreadable('closed/in')], deleted: 0 })
  })

  it('leaves what is closed in directories that have to go, and those with it', async () => {
    const { outcomes, tree } = await run([
      { write: { plain: '1' } },
      { save: true },
      {
        write: {
          'late/open': '1',
          'late/secret': '1',
          'late/deep/in': '1',
          'late/deep/out': '1',
          other: '1',
        },
      },
      { modes: { 'late/secret': 0, 'late/deep': 0o300 } },
      { load: { version: 1 } },
    ])
    expect(outcomes[1]).toMatchObject({
      left: [unreadable('late/deep'), unreadable('late/secret')],
      deleted: 2,
    })
    expect(Object.keys(tree).toSorted()).toEqual(
      ['', 'late', 'late/deep', 'late/deep/in', 'late/deep/out', 'late/secret', 'plain'].toSorted(),
    )
    expect(tree['late/deep']).toBe('0300')
  })

  it('is refused, before anything is changed, where such a thing is in the way', async () => {
    const cases: readonly (readonly [readonly Step[], string])[] = [
      [[{ write: { place: '2' } }, { modes: { place: 0 } }], 'place'],
      [[{ remove: 'place' }, { write: { 'place/in': '1' } }, { modes: { place: 0 } }], 'place'],
      [[{ remove: 'place' }, { write: { 'place/in': '1' } }, { modes: { 'place/in': 0 } }], 'place/in'],
      [[{ remove: 'folder' }, { write: { folder: '1' } }, { modes: { folder: 0 } }], 'folder'],
    ]
    const found = await runAll(
      cases.map(([present]) => [
        { write: { plain: '1', place: '1', 'folder/in': '1' } },
        { save: true },
        { write: { plain: '2' } },
        ...present,
        { load: { version: 1 } },
      ]),
    )
    for (const [index, [, path]] of cases.entries()) {
      const { outcomes = [], tree = {} } = found[index] ?? {}
      expect(outcomes[1]?.failed?.code).toBe('CONFLICT')
      expect(outcomes[1]?.failed?.message).toContain(JSON.stringify(path))
      expect(tree['plain']).toBe('0644 2')
      expect(tree[path]).toMatch(/^0000/)
    }
  })

  it('brings back the mode of a file that was only closed, and what was in a directory that was', async () => {
    const { outcomes, tree } = await run([
      { write: { plain: '1', 'folder/in': '1' } },
      { save: true },
      { write: { 'folder/in': '2', 'folder/late': '1' } },
      { modes: { plain: 0, folder: 0 } },
      { load: { version: 1 } },
    ])
    expect(outcomes[1]).toMatchObject({ left: [unreadable('folder/late')], deleted: 0 })
    expect(tree).toMatchObject({
      plain: '0644 1',
      folder: '0755',
      'folder/in': '0644 1',
      'folder/late': '0644 1',
    })
  })

  it.runIf(isTwoUsers)('leaves what belongs to somebody else, and loads the rest', async () => {
    const base = plainUserDirectory()
    const work = join(base, '0/work')
    mkdirSync(join(work, 'data'), { recursive: true })
    writeFileSync(join(work, 'data/in'), 'only copy')
    writeFileSync(join(work, 'server.key'), 'only copy')
    chmodSync(join(work, 'data'), 0o700)
    chmodSync(join(work, 'server.key'), 0o600)
    giveToPlainUser(join(base, '0'), work)
    const { outcomes } = await run(
      [
        { write: { plain: '1' } },
        { save: true },
        { write: { plain: '2', late: '1' } },
        { load: { version: 1 } },
      ],
      base,
    )
    expect(outcomes[1]).toMatchObject({
      left: [unreadable('data', true), unreadable('server.key')],
      deleted: 1,
    })
    expect(readFileSync(join(work, 'plain'), 'utf8')).toBe('1')
    expect(readFileSync(join(work, 'data/in'), 'utf8')).toBe('only copy')
    expect(readFileSync(join(work, 'server.key'), 'utf8')).toBe('only copy')
  })

  it.runIf(isTwoUsers)(
    'is refused where the version holds something in a directory of somebody else',
    async () => {
      const base = plainUserDirectory()
      await run([{ write: { 'data/in': '1', plain: '1' } }, { save: true }, { write: { plain: '2' } }], base)
      const data = join(base, '0/work/data')
      chownSync(data, 0, 0)
      chmodSync(data, 0o700)
      const { outcomes, tree } = await run([{ load: { version: 1 } }], base)
      expect(outcomes[0]?.failed).toMatchObject({ code: 'CONFLICT', details: { path: 'data' } })
      expect(tree['plain']).toBe('0644 2')
    },
  )
})

describe('a load over directories that are closed to their own owner', () => {
  it('works from every mode', async () => {
    const modes = [0o000, 0o100, 0o200, 0o300, 0o400, 0o500, 0o600, 0o644]
    const found = await runAll(
      modes.map((mode) => [
        { write: { 'folder/deep/in': '1' } },
        { save: true },
        { modes: { 'folder/deep': mode, folder: mode, '': mode } },
        { load: { version: 1 } },
      ]),
    )
    for (const { outcomes, tree } of found) {
      expect(outcomes[1]).toMatchObject({ left: [], deleted: 0 })
      expect(tree).toEqual({ '': '0755', folder: '0755', 'folder/deep': '0755', 'folder/deep/in': '0644 1' })
    }
  })

  it('removes and replaces empty ones', async () => {
    const { outcomes, tree } = await run([
      { write: { place: '1', plain: '1' } },
      { save: true },
      { remove: 'place' },
      { write: { 'place/x': '', 'late/one/x': '', 'gone/x': '' } },
      { remove: 'place/x' },
      { remove: 'late/one/x' },
      { remove: 'gone/x' },
      { modes: { place: 0, 'late/one': 0, gone: 0 } },
      { load: { version: 1 } },
    ])
    expect(outcomes[1]).toMatchObject({ left: [], deleted: 0 })
    expect(tree).toEqual({ '': '0755', place: '0644 1', plain: '0644 1' })
  })

  it('closes them again when it fails, is aborted or does not concern them', async () => {
    const closed: Step = { modes: { 'folder/deep': 0o300, folder: 0 } }
    const { outcomes, tree } = await run([
      { write: { 'folder/deep/in': '1', plain: '1', zz: '1' } },
      { save: true },
      { write: { 'folder/deep/in': '2' } },
      closed,
      { load: { version: 1, paths: ['folder/deep/in'] } },
      { load: { version: 1 }, aborts: true },
      { remove: 'zz' },
      { pipe: 'zz' },
      { load: { version: 1 } },
    ])
    expect(outcomes.slice(1).map(({ failed }) => failed?.code)).toEqual([undefined, 'TIMEOUT', 'CONFLICT'])
    expect(tree).toMatchObject({ folder: '0000', 'folder/deep': '0300', 'folder/deep/in': '0644 1' })
  })

  it('gives them the mode of the version, also one that is as closed', async () => {
    const { outcomes, tree } = await run([
      { write: { 'one/in': '1', 'two/in': '1', 'two/out': '1' } },
      { modes: { one: 0o700, two: 0o500 } },
      { save: true },
      { modes: { two: 0o700 } },
      { remove: 'two/out' },
      { modes: { one: 0, two: 0o100 } },
      { load: { version: 1 } },
    ])
    expect(outcomes[1]?.failed).toBeUndefined()
    expect(tree).toMatchObject({ one: '0700', two: '0500', 'two/out': '0644 1' })
  })
})

describe('a load into a directory whose parent is closed', () => {
  it('brings back the time of the directory itself, and leaves it where it fails or does not concern it', async () => {
    const { outcomes } = await run([
      { write: { plain: '1', zz: '1' }, time: 1e9 },
      { save: true },
      { write: { plain: '2' }, time: 1.1e9, parentMode: 0o555 },
      { load: { version: 1 }, aborts: true },
      { load: { version: 1, paths: ['plain'] } },
      { load: { version: 1 } },
      { load: { version: 1 } },
    ])
    expect(outcomes.slice(1).map(({ time }) => time)).toEqual([1.1e9, 1.1e9, 1e9, 1e9])
  })
})
