import { StorageClient } from '@supabase/storage-js'
import { startServerProcess, type SupabaseTokens } from '@ws/test-servers'

/** A key as the service makes them: a JSON Web Token that says its role. */
function keyOf(role: string, secret: string): string {
  const encode = (value: object): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ role, iss: 'supabase' })}.${secret}`
}

/** Nothing of a key that any error may repeat. */
export const secretPart = 'secret-signature'

export const keys = {
  service: keyOf('service_role', `${secretPart}-service`),
  writer: keyOf('authenticated', `${secretPart}-writer`),
  reader: keyOf('authenticated', `${secretPart}-reader`),
  inserter: keyOf('authenticated', `${secretPart}-inserter`),
  blind: keyOf('authenticated', `${secretPart}-blind`),
  stranger: keyOf('authenticated', `${secretPart}-stranger`),
  expired: keyOf('authenticated', `${secretPart}-expired`),
} as const

export const wrongKey = keyOf('service_role', `${secretPart}-wrong`)

export const tokens: SupabaseTokens = Object.fromEntries(
  Object.entries(keys).map(([role, key]) => [key, role as keyof typeof keys]),
)

export function storageClient(
  url: string,
  key: string = keys.service,
  fetch?: typeof globalThis.fetch,
): StorageClient {
  return new StorageClient(`${url}/storage/v1`, { apikey: key, authorization: `Bearer ${key}` }, fetch)
}

export interface TestStorage {
  /** Which service it is: for the name of the test suite. */
  readonly service: string
  readonly url: string
  readonly client: StorageClient
  readonly bucket: string
  stop(): Promise<void>
}

/**
 * The project that `WS_TEST_SUPABASE_URL`, `WS_TEST_SUPABASE_KEY` and `WS_TEST_SUPABASE_BUCKET` name, else a server on
 * loopback.
 */
export async function openTestStorage(): Promise<TestStorage> {
  const {
    WS_TEST_SUPABASE_URL: url,
    WS_TEST_SUPABASE_KEY: key,
    WS_TEST_SUPABASE_BUCKET: bucket,
  } = process.env
  if (url !== undefined && key !== undefined && bucket !== undefined)
    return {
      service: `Supabase Storage, bucket ${bucket}`,
      url,
      client: storageClient(url, key),
      bucket,
      stop: async () => undefined,
    }
  const server = await startServerProcess('supabase', { tokens })
  return {
    service: server.name,
    url: server.url,
    client: storageClient(server.url),
    bucket: 'bucket',
    stop: () => server.stop(),
  }
}
