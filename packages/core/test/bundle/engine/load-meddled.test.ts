import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { beforeEach, expect, it } from 'vitest'
import { localStore } from '@ws/store-local'
import { Workspace } from '../../../src/workspace/workspace.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'

let base = ''
let workspace: Workspace

const text = (name: string): string => readFileSync(join(base, 'work', name), 'utf8')

/** @param places where somebody else puts a file while the load goes on */
function loadWhileMeddling(places: readonly string[]): { code: string; message: string; details: object } {
  const script = join(import.meta.dirname, 'meddled-load.ts')
  const parameters = ['--conditions=@ws/source', script, base, places.join(',')]
  const options = { encoding: 'utf8', env: { ...process.env, NODE_OPTIONS: '' } } as const
  return JSON.parse(execFileSync(process.execPath, parameters, options)) as ReturnType<
    typeof loadWhileMeddling
  >
}

beforeEach(async () => {
  base = temporaryDirectory()
  const path = join(base, 'work')
  workspace = new Workspace({
    id: 'work',
    path,
    stateDir: join(base, 'state'),
    store: localStore({ root: join(base, 'store') }),
  })
  writeFiles(path, {
    'a-changed': 'new',
    'b-new': 'new',
    'new/inside': 'new',
    'z-changed': 'new',
    'k-new': 'new',
  })
  await workspace.save('new')
  for (const name of ['b-new', 'k-new', 'new']) rmSync(join(path, name), { recursive: true })
  writeFiles(path, { 'a-changed': 'older', 'z-changed': 'older' })
})

it('a load that is taken back leaves what somebody else has put in the place of a new file, and names it', () => {
  const error = loadWhileMeddling(['b-new'])
  expect(error).toMatchObject({ code: 'CONFLICT', details: { path: join(base, 'work'), paths: ['b-new'] } })
  expect(error.message).toContain('"b-new"')
  expect(text('b-new')).toBe('foreign')
  expect(text('z-changed')).toBe('foreign')
  expect(text('a-changed')).toBe('older')
  expect(readdirSync(join(base, 'work')).toSorted()).toEqual(['a-changed', 'b-new', 'z-changed'])
  expect(readdirSync(base).filter((name) => name.startsWith('.ws-work'))).toEqual([])
})

it('a load that is taken back leaves what is in the place of an old file, and the next load ends it when that is gone', async () => {
  const error = loadWhileMeddling(['a-changed'])
  expect(error).toMatchObject({ code: 'CONFLICT', details: { paths: ['a-changed'] } })
  expect(text('a-changed')).toBe('foreign')
  expect(existsSync(join(base, 'work/b-new'))).toBe(false)

  await expect(workspace.load()).rejects.toMatchObject({
    code: 'CONFLICT',
    details: { paths: ['a-changed'] },
  })
  expect(text('a-changed')).toBe('foreign')
  rmSync(join(base, 'work/a-changed'))
  expect(await workspace.load()).toMatchObject({ report: { recovered: 'undone' } })
  expect(text('a-changed')).toBe('new')
})
