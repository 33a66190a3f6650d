import { randomUUID } from 'node:crypto'
import { BlobServiceClient } from '@azure/storage-blob'
import { createBundleStore, openStore } from '@ws/core'
import { startAzurite, startGcsServer, startR2Server, startSupabaseServer } from '@ws/test-servers'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'

const load = (name: string): Promise<unknown> => import(name)
const cleanUps: (() => void | Promise<unknown>)[] = []
let directory: string
const urls: Record<string, string> = {}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'open-store-'))
  cleanUps.push(() => rmSync(directory, { recursive: true, force: true }))
  mkdirSync(join(directory, 'source'))
  writeFileSync(join(directory, 'source/hello.txt'), 'hello')

  const [azure, r2, supabase, gcs] = await Promise.all([startAzurite(), startR2Server(), startSupabaseServer(), startGcsServer()]) // prettier-ignore
  cleanUps.push(() => azure.stop(), () => r2.stop(), () => supabase.stop(), () => gcs.stop()) // prettier-ignore
  process.env['AZURE_STORAGE_CONNECTION_STRING'] =
    `DefaultEndpointsProtocol=http;AccountName=${azure.account};AccountKey=${azure.accountKey};BlobEndpoint=${azure.url};`
  await BlobServiceClient.fromConnectionString(
    process.env['AZURE_STORAGE_CONNECTION_STRING'],
  ).createContainer('files')
  process.env['AZURE_STORAGE_KEY'] = azure.accountKey
  urls['azure, by the connection string'] = 'azure://files/some%20prefix'
  urls['azure, by account and key'] = `azure://files/other?account=${azure.account}&endpoint=${azure.url}`

  const { endpoint, region, credentials } = r2.clientConfig
  process.env['AWS_ACCESS_KEY_ID'] = credentials?.accessKeyId
  process.env['AWS_SECRET_ACCESS_KEY'] = credentials?.secretAccessKey
  // R2 wants no checksum trailers, which the SDK's own variables say.
  process.env['AWS_REQUEST_CHECKSUM_CALCULATION'] = 'WHEN_REQUIRED'
  process.env['AWS_RESPONSE_CHECKSUM_VALIDATION'] = 'WHEN_REQUIRED'
  urls['s3'] = `s3://${r2.bucket}/some%20prefix?region=${region}&endpoint=${endpoint}&conditions=enforced`
  process.env['SUPABASE_SERVICE_ROLE_KEY'] = 'service-key'
  urls['supabase'] = `supabase://bucket/some%20prefix?url=${supabase.url}`
  // Where the SDK looks for a server in the place of Google's.
  process.env['STORAGE_EMULATOR_HOST'] = gcs.url
  urls['gs'] = 'gs://bucket/some%20prefix'
  urls['file'] = `file://${directory}/store`
})
afterAll(async () => {
  for (const cleanUp of cleanUps.toReversed()) await cleanUp()
})

it.each(['file', 's3', 'gs', 'supabase', 'azure, by the connection string', 'azure, by account and key'])(
  'a workspace goes into the store of a URL and comes back: %s',
  async (name) => {
    const id = randomUUID()
    const open = async () => createBundleStore(await openStore(urls[name] ?? expect.fail(), { load }))
    await (await open()).save(id, join(directory, 'source'), { message: 'first' })
    const copy = join(directory, `copy-${id}`)
    await (await open()).load(id, copy)
    expect(readFileSync(join(copy, 'hello.txt'), 'utf8')).toBe('hello')
  },
)

it('says what is missing when nothing names the Azure account', async () => {
  const connection = process.env['AZURE_STORAGE_CONNECTION_STRING']
  delete process.env['AZURE_STORAGE_CONNECTION_STRING']
  try {
    await expect(openStore('azure://files', { load })).rejects.toMatchObject({
      code: 'INVALID_INPUT',
      message: expect.stringContaining('azure://container?account=name') as string,
    })
  } finally {
    process.env['AZURE_STORAGE_CONNECTION_STRING'] = connection
  }
})
