import { execFile } from 'node:child_process'
import { cpSync, existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative as relativePath } from 'node:path'
import { pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { faultyStore } from '@ws/conformance'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { WorkspaceError, openStore, type ObjectStore } from '../../src/index.ts'

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

it.each([undefined, new URL('memory:')])('refuses what is no text: %s', async (url) => {
  await expect(openStore(url as unknown as string)).rejects.toMatchObject({ code: 'INVALID_INPUT' })
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
  ['file:~/store', 'INVALID_INPUT'],
  ['file:///', 'INVALID_INPUT'],
  ['file://host/x', 'INVALID_INPUT'],
  ['file:%zz', 'INVALID_INPUT'],
  ['file:a?b', 'INVALID_INPUT'],
  ['file:a%00b', 'INVALID_INPUT'],
  ['s3:///prefix', 'INVALID_INPUT'],
  ['s3://', 'INVALID_INPUT'],
  ['s3://bucket/%zz', 'INVALID_INPUT'],
  ['s3://bucket#x', 'INVALID_INPUT'],
  ['s3://bucket?region=', 'INVALID_INPUT'],
  ['s3://bucket?conditions=maybe', 'INVALID_INPUT'],
  ['s3://bucket?endpoint=localhost', 'INVALID_INPUT'],
  ['gs:bucket', 'INVALID_INPUT'],
  ['gs://bucket?region=x', 'INVALID_INPUT'],
  ['supabase://?url=https://x.supabase.co', 'INVALID_INPUT'],
  ['azure:///prefix', 'INVALID_INPUT'],
])('refuses %s with %s', async (url, code) => {
  await expect(openStore(url)).rejects.toMatchObject({ code })
})

it.each([
  ['s3://host:9000/bucket', 's3://bucket/prefix?endpoint=http://host:9000'],
  ['s3://minio.internal:9000/bucket/prefix?region=auto', 's3://bucket/prefix?endpoint=http://host:9000'],
  ['s3://127.0.0.1/bucket', 's3://bucket/prefix?endpoint=http://host:9000'],
  ['s3://[::1]:9000/bucket', 's3://bucket/prefix?endpoint=http://host:9000'],
  ['s3://http://host:9000/bucket', 's3://bucket/prefix?endpoint=http://host:9000'],
  ['azure://127.0.0.1:10000/account/container', 'azure://bucket/prefix?endpoint=http://host:9000'],
  ['supabase://https://project.supabase.co/bucket', 'supabase://bucket/prefix?url=http://host:9000'],
  ['gs://localhost:4443/bucket', 'gs://bucket/prefix'],
])('says where the address goes that stands in the place of the bucket: %s', async (url, advice) => {
  const error: unknown = await openStore(url).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringContaining(advice) as string })
  expect(String(error)).toContain('an address stands where the bucket belongs')
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

it.each([
  ['s3://bucket?accessKeyId=hunter2', /no parameter accessKeyId. Credentials never go into the URL/],
  ['s3://bucket?zone=hunter2', /no parameter zone. It has region, endpoint, conditions/],
  ['s3://bucket?hunter2', /no parameter. It has|no parameter hunter/],
  [
    's3://bucket?endpoint=https://user:hunter2@host',
    /endpoint must be an http: or https: URL without credentials/,
  ],
  ['s3://bucket?endpoint=localhost:9000', /endpoint must be an http: or https: URL .*such as http:/],
  ['azure://bucket?sig=hunter2', /Credentials never go into the URL/],
  ['gs://bucket?x=hunter2', /It has none/],
])('names an unknown parameter of %s and never its value', async (url, message) => {
  const error: unknown = await openStore(url).catch((thrown: unknown) => thrown)
  expect(error).toMatchObject({ code: 'INVALID_INPUT', message: expect.stringMatching(message) })
  expect(JSON.stringify(error) + String((error as Error).stack)).not.toMatch(/=hunter|:hunter/)
})

it.each([
  [
    's3://bucket/a/b?region=eu-central-1&endpoint=https://s3.example.com',
    '@ws/store-s3',
    {
      bucket: 'bucket',
      prefix: 'a/b',
      client: { region: 'eu-central-1', endpoint: 'https://s3.example.com', maxAttempts: 1 },
    },
  ],
  [
    's3://bucket/?conditions=enforced',
    '@ws/store-s3',
    { bucket: 'bucket', conditions: 'enforced', client: { maxAttempts: 1 } },
  ],
  ['gs://bucket/a%20b%3F/', '@ws/store-gcs', { bucket: 'bucket', prefix: 'a b?' }],
  [
    'supabase://files?url=https://x.supabase.co',
    '@ws/store-supabase',
    { bucket: 'files', url: 'https://x.supabase.co' },
  ],
  [
    'azure://container/p?account=me',
    '@ws/store-azure',
    { container: 'container', prefix: 'p', account: 'me' },
  ],
])('reads %s', async (url, packageName, options) => {
  const given: unknown[] = []
  const open = (each: object): ObjectStore => {
    given.push(each)
    return memoryStore()
  }
  const load = async (name: string): Promise<unknown> => {
    given.push(name)
    return { s3Store: open, openGcsStore: open, openSupabaseStore: open, openAzureStore: open }
  }
  await openStore(url, { load })
  expect(given).toEqual([packageName, options])
})

it('makes a store on a network reliable, and leaves the others as they are', async () => {
  let calls = 0
  const flaky = faultyStore(memoryStore(), ({ moment }) => {
    if (moment === 'before' && ++calls === 1) throw new WorkspaceError('UNAVAILABLE', 'Down.')
  })
  const opening = (remote: boolean) => {
    calls = 0
    const store = { ...flaky, capabilities: { ...flaky.capabilities, remote } }
    return openStore('gs://bucket', { load: async () => ({ openGcsStore: async () => store }) })
  }
  await expect((await opening(false)).head('a')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await (await opening(true)).head('a')).toBeNull()
})

it.each([
  ['s3://bucket', '@ws/store-s3', '@aws-sdk/client-s3', 'load'],
  ['gs://bucket', '@ws/store-gcs', '@google-cloud/storage', 'open'],
])('says that the SDK of %s is missing when the adapter is there', async (url, adapter, sdk, moment) => {
  const fail = async (): Promise<never> => {
    const error = new Error(
      `Cannot find package '${sdk}' imported from /x/node_modules/${adapter}/dist/index.js`,
    )
    throw Object.assign(error, { code: 'ERR_MODULE_NOT_FOUND' })
  }
  const load = moment === 'load' ? fail : async () => ({ openGcsStore: fail })
  const { protocol } = new URL(url)
  await expect(openStore(url, { load })).rejects.toMatchObject({
    code: 'UNSUPPORTED',
    message: expect.stringContaining(
      `Cannot open ${protocol} stores: ${sdk}, which ${adapter} needs, was not found. Install it: npm install ${sdk}.`,
    ),
    details: { package: sdk },
  })
})

it('says which package to install where it is missing', async () => {
  const source = join(directory, 'core')
  cpSync(join(import.meta.dirname, '../../src'), source, { recursive: true })
  writeFileSync(
    join(directory, 'main.ts'),
    `import { openStore } from './core/store/open-store.ts'
     for (const url of process.argv.slice(2))
       await openStore(url).catch((error) => console.log(JSON.stringify(error)))`,
  )
  const urls = ['file:x', 's3://bucket', 'gs://bucket', 'supabase://bucket', 'azure://container']
  const { stdout } = await promisify(execFile)(process.execPath, [join(directory, 'main.ts'), ...urls])
  const names = ['local', 's3', 'gcs', 'supabase', 'azure']
  const errors = stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as { code: string; message: string })
  expect(errors.map(({ code }) => code)).toEqual(names.map(() => 'UNSUPPORTED'))
  for (const [index, name] of names.entries())
    expect(errors[index]?.message).toContain(`npm install @ws/store-${name}.`)
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
