import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative as relativePath } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { openStore } from '../../src/index.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'open store#'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

it('opens memory:, each time a new store', async () => {
  const [left, right] = [await openStore('memory:'), await openStore('memory:')]
  await left.put('a', Buffer.from('x'))
  expect(left.name).toBe('memory')
  expect(await right.head('a')).toBe(null)
})

it('opens file: with an absolute and with a relative path', async () => {
  const absolute = await openStore(pathToFileURL(join(directory, 'a b')).href)
  await absolute.put('key', Buffer.from('x'))
  expect(existsSync(join(directory, 'a b', 'key%'))).toBe(true)
  // Vitest's workers cannot change their directory, so a relative path says how to get from it to the store.
  const relative = await openStore(`file:${encodeURIComponent(relativePath(process.cwd(), directory))}/a%20b`)
  expect((await relative.head('key'))?.size).toBe(1)
})

it.each([
  ['', 'INVALID_INPUT'],
  ['/just/a/path', 'INVALID_INPUT'],
  ['ftp://host/x', 'INVALID_INPUT'],
  ['constructor:x', 'INVALID_INPUT'],
  ['memory:name', 'INVALID_INPUT'],
  ['file:', 'INVALID_INPUT'],
  ['file:///', 'INVALID_INPUT'],
  ['file://host/x', 'INVALID_INPUT'],
  ['file:%zz', 'INVALID_INPUT'],
  ['file:a?b', 'INVALID_INPUT'],
  ['file:a%00b', 'INVALID_INPUT'],
  ['s3:///prefix', 'INVALID_INPUT'],
  ['s3://', 'INVALID_INPUT'],
  ['s3://bucket/prefix', 'UNSUPPORTED'],
  ['gs://bucket', 'UNSUPPORTED'],
  ['supabase://bucket', 'UNSUPPORTED'],
])('refuses %s with %s', async (url, code) => {
  await expect(openStore(url)).rejects.toMatchObject({ code })
})

it('says which stores exist when a scheme is unknown', async () => {
  await expect(openStore('ftp://host/x')).rejects.toThrow(/memory:.*file:/)
})

it('refuses credentials and repeats them nowhere', async () => {
  for (const scheme of ['s3', 'file', 'ftp', 'memory']) {
    const error: unknown = await openStore(`${scheme}://user:hunter2@bucket/x?token=hunter3`).catch(
      (thrown: unknown) => thrown,
    )
    expect(error).toMatchObject({ code: 'INVALID_INPUT' })
    expect(JSON.stringify(error) + String(error) + String((error as Error).stack)).not.toMatch(/hunter/)
  }
})

it('says which package to install where it is missing', async () => {
  const source = join(directory, 'core')
  cpSync(join(import.meta.dirname, '../../src'), source, { recursive: true })
  writeFileSync(
    join(directory, 'main.ts'),
    `import { openStore } from './core/store/open-store.ts'
     try { await openStore('file:x') } catch (error) { console.log(JSON.stringify(error)) }`,
  )
  const { stdout } = await promisify(execFile)(process.execPath, [join(directory, 'main.ts')])
  expect(JSON.parse(stdout)).toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining('install @ws/store-local'),
  })
})

it('loads adapters by the given function where the installation needs it', async () => {
  const names: string[] = []
  const load = (name: string): Promise<unknown> => {
    names.push(name)
    return import('@ws/store-memory')
  }
  expect((await openStore('memory:', { load })).name).toBe('memory')
  expect(names).toEqual(['@ws/store-memory'])
})
