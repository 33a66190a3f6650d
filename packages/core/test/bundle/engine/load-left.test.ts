import { execFileSync } from 'node:child_process'
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { memoryStore } from '@ws/store-memory'
import { Workspace } from '../../../src/workspace/workspace.ts'

let base = ''
let path = ''
let server: Server | null = null

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-left-'))
  path = join(base, 'work')
  mkdirSync(path)
})

afterEach(async () => {
  const open = server
  server = null
  if (open !== null) await new Promise((resolve) => open.close(resolve))
  rmSync(base, { recursive: true })
})

function workspace(exclude: readonly string[] = [], store = memoryStore()): Workspace {
  return new Workspace({ id: 'work', path, store, stateDir: join(base, 'state'), exclude })
}

function write(files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(join(path, name, '..'), { recursive: true })
    writeFileSync(join(path, name), content)
  }
}

const read = (name: string): string => readFileSync(join(path, name), 'utf8')

describe('an entry of the user with a name that begins as those of work directories', () => {
  it('is saved, changed back and removed as any other', async () => {
    const work = workspace()
    const tag = '0123456789ab'
    const names = ['.ws-work-', '.ws-work-notes', `.ws-work-${tag}`, `.ws-work-${tag}-1-1-${tag}-kept`]
    write(Object.fromEntries(names.map((name) => [`${name}/file`, '1'])))
    await work.save('one')
    write(Object.fromEntries(names.map((name) => [`${name}/file`, '2'])))
    write({ '.ws-work-other': 'new' })
    await work.load()
    expect(readdirSync(path).toSorted()).toEqual(names.toSorted())
    for (const name of names) expect(read(`${name}/file`)).toBe('1')
    rmSync(path, { recursive: true })
    await work.load()
    expect(readdirSync(path).toSorted()).toEqual(names.toSorted())
  })
})

describe('what a save leaves out', () => {
  it('is left in the directory by an exact load of the same workspace', async () => {
    const work = workspace(['node_modules', '**/*.log'])
    write({ a: '1', 'src/b': '1', 'node_modules/x/index.js': 'installed', 'src/debug.log': 'log' })
    await work.save('one')
    write({ a: '2', 'late/c': '1', 'late/deep/d.log': 'late log', 'late/deep/e': '1' })
    const loaded = await work.load()
    expect(read('a')).toBe('1')
    expect(read('node_modules/x/index.js')).toBe('installed')
    expect(read('src/debug.log')).toBe('log')
    // Of a directory that the version does not have, only what has to stay is left.
    expect(read('late/deep/d.log')).toBe('late log')
    expect(existsSync(join(path, 'late/c'))).toBe(false)
    expect(existsSync(join(path, 'late/deep/e'))).toBe(false)
    expect(loaded?.report.deleted).toEqual({ files: 2, bytes: 2 })
    expect(loaded?.report.left).toEqual([
      { path: 'late/deep/d.log', reason: 'excluded', isInVersion: false },
      { path: 'node_modules', reason: 'excluded', isInVersion: false },
      { path: 'src/debug.log', reason: 'excluded', isInVersion: false },
    ])
    expect((await work.load())?.report.written.files).toBe(0)
  })

  it('is not replaced by what an older version has at its path, and comes back where nothing is', async () => {
    const store = memoryStore()
    write({ a: '1', 'cache/x': 'stored', 'other/y.tmp': 'stored' })
    await workspace([], store).save('with everything')
    write({ a: '2', 'cache/x': 'mine', 'cache/y': 'mine' })
    rmSync(join(path, 'other'), { recursive: true })
    const work = workspace(['cache', '**/*.tmp'], store)
    for (const mode of ['exact', 'merge'] as const) {
      const loaded = await work.load({ mode })
      const left = mode === 'exact' ? ['cache'] : ['cache', 'other/y.tmp']
      expect(loaded?.report.left).toEqual(
        left.map((each) => ({ path: each, reason: 'excluded', isInVersion: true })),
      )
      expect([read('a'), read('cache/x'), read('cache/y')]).toEqual(['1', 'mine', 'mine'])
      expect(read('other/y.tmp')).toBe('stored')
    }
    // What was left was not taken for what the version has.
    const { report } = await workspace([], store).save('two')
    expect(report).toMatchObject({ added: { files: 1 }, changed: { files: 1 } })
    await workspace([], store).load({ version: 1 })
    expect(read('cache/x')).toBe('stored')
    expect(readdirSync(join(path, 'cache'))).toEqual(['x'])
  })

  it('is not removed with a directory that has to become a file', async () => {
    const work = workspace(['**/node_modules'])
    write({ place: 'a file', a: '1' })
    await work.save('one')
    rmSync(join(path, 'place'))
    write({ 'place/deep/node_modules/x': 'installed', a: '2' })
    await expect(work.load()).rejects.toMatchObject({ code: 'CONFLICT', details: { path: 'place' } })
    expect([read('a'), read('place/deep/node_modules/x')]).toEqual(['2', 'installed'])
    expect(readdirSync(base).filter((name) => name.startsWith('.'))).toEqual([])
  })

  it('must be named by usable patterns', async () => {
    const work = workspace()
    write({ a: '1' })
    await work.save('one')
    await expect(work.load({ exclude: [''] })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  })

  it('is left also when it is a socket, a pipe or a device', async () => {
    const work = workspace()
    write({ a: '1' })
    await work.save('one')
    write({ 'run/pid': '7' })
    execFileSync('mkfifo', [join(path, 'run/pipe')])
    const listening = createServer()
    server = listening
    await new Promise<void>((resolve) => listening.listen(join(path, 'socket'), resolve))
    const loaded = await work.load()
    expect(loaded?.report.left).toEqual([
      { path: 'run/pipe', reason: 'special-file', isInVersion: false },
      { path: 'socket', reason: 'special-file', isInVersion: false },
    ])
    expect(readdirSync(join(path, 'run'))).toEqual(['pipe'])
    expect(lstatSync(join(path, 'socket')).isSocket()).toBe(true)
  })

  it('ends a load that would have to replace a pipe, before anything is changed', async () => {
    const work = workspace()
    write({ a: '1', 'b/c': '1' })
    await work.save('one')
    rmSync(join(path, 'b/c'))
    execFileSync('mkfifo', [join(path, 'b/c')])
    write({ a: '2' })
    await expect(work.load()).rejects.toMatchObject({ code: 'CONFLICT', details: { path: 'b/c' } })
    expect(read('a')).toBe('2')
    expect(lstatSync(join(path, 'b/c')).isFIFO()).toBe(true)
  })
})
