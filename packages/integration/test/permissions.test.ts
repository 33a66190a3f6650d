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
import { createBundleStore, type ObjectStore } from '@ws/core'
import { azureStore } from '@ws/store-azure'
import { s3Store } from '@ws/store-s3'
import { startAzurite, startFaultProxy, startR2Server } from '@ws/test-servers'
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
