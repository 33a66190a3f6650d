import { randomBytes } from 'node:crypto'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import {
  ContainerClient,
  ContainerSASPermissions,
  StorageSharedKeyCredential,
  generateBlobSASQueryParameters,
} from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { createClient } from '@supabase/supabase-js'
import { createBundleStore, type ObjectStore } from '@ws/core'
import { azureStore } from '@ws/store-azure'
import { gcsStore } from '@ws/store-gcs'
import { s3Store } from '@ws/store-s3'
import { supabaseStore } from '@ws/store-supabase'
import {
  startAzurite,
  startFaultProxy,
  startGcsServer,
  startR2Server,
  startSupabaseServer,
} from '@ws/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'

const guide = readFileSync(
  fileURLToPath(new URL('../../../docs/guides/permissions.md', import.meta.url)),
  'utf8',
)
const PREFIX = 'production'
const cleanUps: (() => unknown)[] = []
let directory = ''

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'permissions-'))
  cleanUps.push(() => rmSync(directory, { recursive: true, force: true }))
})
afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp()
})

/** Everything that a host does with versions. */
async function useVersions(store: ObjectStore, id: string): Promise<void> {
  const bundles = createBundleStore(store)
  const source = join(directory, id)
  for (const content of ['one', 'two']) {
    await bundles.load(id, source)
    mkdirSync(source, { recursive: true })
    writeFileSync(join(source, 'f'), content)
    await bundles.save(id, source, { message: content, tags: ['kept'] })
  }
  await bundles.fork(id, `${id}-fork`)
  await bundles.tag(id, 1, 'old')
  expect(await Array.fromAsync(bundles.history(id))).toHaveLength(2)
  expect(await bundles.verify(id)).toMatchObject({ problems: [] })
  await bundles.delete(`${id}-fork`)
  await bundles.prune({ keepLast: 1, keepTagged: false }, { exclusive: true })
  expect(await bundles.version(id)).toMatchObject({ message: 'two' })
}

it('S3: nothing is sent that needs another right than the guide grants, or touches another prefix, and each right is needed', async () => {
  const server = await startR2Server()
  cleanUps.push(() => server.stop())
  const { origin, pathname } = new URL(server.clientConfig.endpoint ?? '')
  const proxy = await startFaultProxy({ target: origin })
  cleanUps.push(() => proxy.stop())
  const client = { ...server.clientConfig, endpoint: `${proxy.origin}${pathname}`, maxAttempts: 1 }
  const store = s3Store({ bucket: server.bucket, prefix: PREFIX, client, conditions: 'enforced' })
  await useVersions(store, 'w')
  async function* failing(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(13 * 1024 * 1024)
    throw new Error('enough')
  }
  await expect(store.put('large', failing())).rejects.toThrow('enough')

  // What the guide's second policy refuses: only retention's placeholders come without a condition.
  const bare = proxy.requests.filter(
    ({ method, url, headers }) =>
      method === 'PUT' && /\/versions\//.test(url) && headers['if-none-match'] === undefined,
  )
  expect(bare).toHaveLength(1)
  expect(bare[0]?.headers['content-length']).toBe('21')

  const needed = new Set<string>()
  const root = `${pathname}/${server.bucket}/`
  for (const { method, url } of proxy.requests) {
    const { pathname: path, searchParams } = new URL(url, origin)
    const isOfBucket = path === root || `${path}/` === root
    const touched = isOfBucket ? (searchParams.get('prefix') ?? '') : path.slice(root.length)
    expect(touched.startsWith(`${PREFIX}/`), `${method} ${url}`).toBe(true)
    needed.add(isOfBucket ? 's3:ListBucket' : actionOf(method, searchParams))
  }
  const [, policy = ''] = /## AWS S3\n+```json\n(.*?)```/s.exec(guide) ?? []
  const { Statement } = JSON.parse(policy) as { Statement: { Action: string | string[] }[] }
  expect([...needed].sort()).toEqual(Statement.flatMap(({ Action }) => Action).sort())
})

it('Google: nothing is sent that needs more than the role of the guide, or touches another prefix, and the viewer can load', async () => {
  const server = await startGcsServer({ tokens: { user: 'write', viewer: 'read' } })
  cleanUps.push(() => server.stop())
  const proxy = await startFaultProxy({ target: server.url })
  cleanUps.push(() => proxy.stop())
  const open = (token: string): ObjectStore => {
    const storage = new Storage({ apiEndpoint: proxy.origin, projectId: 'project' })
    storage.authClient.getRequestHeaders = async () => new Headers({ authorization: `Bearer ${token}` })
    Object.assign(storage, { customEndpoint: false })
    return gcsStore({ bucket: storage.bucket('bucket'), prefix: PREFIX })
  }
  await useVersions(open('user'), 'w')
  await open('user').put('large', Buffer.alloc(33 * 1024 * 1024))

  const needed = new Set<string>()
  for (const { method, url } of proxy.requests) {
    const { pathname: path, searchParams } = new URL(url, server.url)
    const [, name] = /\/b\/bucket\/o(?:\/(.+))?$/.exec(path) ?? []
    const touched = name ?? searchParams.get('name') ?? searchParams.get('prefix') ?? ''
    if (!searchParams.has('upload_id'))
      expect(decodeURIComponent(touched).startsWith(`${PREFIX}/`), `${method} ${url}`).toBe(true)
    needed.add(permissionOf(method, name))
  }
  expect(guide).toContain('roles/storage.objectUser')
  const ofObjectUser = ['storage.objects.create', 'storage.objects.delete', 'storage.objects.get', 'storage.objects.list'] // prettier-ignore
  expect([...needed].sort()).toEqual(ofObjectUser)
  const viewer = createBundleStore(open('viewer'))
  await viewer.load('w', join(directory, 'viewed'))
  await expect(viewer.save('w', join(directory, 'viewed'), { message: '' })).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
  })
})

function permissionOf(method: string, name: string | undefined): string {
  if (method === 'POST' || method === 'PUT') return 'storage.objects.create'
  if (method === 'DELETE') return 'storage.objects.delete'
  return name === undefined ? 'storage.objects.list' : 'storage.objects.get'
}

it('Supabase: the policies of the guide are enough for everything, the first two for loading, all but the last for saving', async () => {
  const [, sql = ''] = /```sql\n(.*?)```/s.exec(guide) ?? []
  const policies = [...sql.matchAll(/on storage\.(\w+) for (\w+)/g)].map(
    ([, table, right]) => `${table} ${right}`,
  )
  expect(policies).toEqual(['buckets select', 'objects select', 'objects insert', 'objects update', 'objects delete']) // prettier-ignore
  const roleWith = (granted: readonly string[]) => ({
    seesBucket: granted.includes('buckets select'),
    select: granted.includes('objects select'),
    insert: granted.includes('objects insert'),
    update: granted.includes('objects update'),
    delete: granted.includes('objects delete'),
  })
  const tokens = {
    user: roleWith(policies),
    loader: roleWith(policies.slice(0, 2)),
    saver: roleWith(policies.slice(0, -1)),
  }
  const server = await startSupabaseServer({ tokens })
  cleanUps.push(() => server.stop())
  const open = (token: string): ObjectStore =>
    supabaseStore({ client: createClient(server.url, token), bucket: 'bucket', prefix: PREFIX })
  await useVersions(open('user'), 'w')
  const loader = createBundleStore(open('loader'))
  const target = join(directory, 'loaded')
  await loader.load('w', target)
  await expect(loader.save('w', target, { message: '' })).rejects.toMatchObject({ code: 'ACCESS_DENIED' })
  const saver = createBundleStore(open('saver'))
  writeFileSync(join(target, 'f'), 'three')
  expect((await saver.save('w', target, { message: 'three' })).version.version).toBe(3)
  for (const version of [4, 5]) {
    // None is small enough to be merged.
    writeFileSync(join(target, 'f'), randomBytes(9_000_000))
    expect((await saver.save('w', target, { message: '' })).version.version).toBe(version)
  }
  // Without the last policy the versions go, what they needed stays, and the result says so.
  const pruned = await saver.prune({ keepLast: 1 }, { exclusive: true })
  expect(pruned.removed).toContainEqual({ workspaceId: 'w', version: 4 })
  expect(pruned.deleted.packs).toBe(0)
  expect(pruned.locked.packs).toBeGreaterThan(0)
  const ended = await createBundleStore(open('user')).prune(null, { exclusive: true })
  expect(ended).toMatchObject({ deleted: { packs: pruned.locked.packs }, locked: { packs: 0 } })
})

function actionOf(method: string, query: URLSearchParams): string {
  if (method === 'GET' || method === 'HEAD') return 's3:GetObject'
  if (method !== 'DELETE') return 's3:PutObject'
  return query.has('uploadId') ? 's3:AbortMultipartUpload' : 's3:DeleteObject'
}

it('Azure: a signature with the permissions of the guide is enough for everything, and the shorter one for loading only', async () => {
  const server = await startAzurite()
  cleanUps.push(() => server.stop())
  const key = new StorageSharedKeyCredential(server.account, server.accountKey)
  const containerName = 'files'
  await new ContainerClient(`${server.url}/${containerName}`, key).create()
  const [, all = '', reading = ''] = /SAS with `(\w+)`[^]*?`(\w+)` to load only/.exec(guide) ?? []
  const open = (permissions: string): ObjectStore => {
    const query = generateBlobSASQueryParameters(
      {
        containerName,
        permissions: ContainerSASPermissions.parse(permissions),
        expiresOn: new Date(Date.now() + 600_000),
      },
      key,
    )
    return azureStore({
      container: new ContainerClient(`${server.url}/${containerName}?${query.toString()}`),
    })
  }
  await useVersions(open(all), 'w')
  const reader = createBundleStore(open(reading))
  await reader.load('w', join(directory, 'read'))
  expect(readFileSync(join(directory, 'read/f'), 'utf8')).toBe('two')
  await expect(reader.save('w', join(directory, 'read'), { message: '' })).rejects.toMatchObject({
    code: 'ACCESS_DENIED',
  })
})
