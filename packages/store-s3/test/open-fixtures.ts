import type { FixtureName, StoreFixtures } from '@ws/conformance'
import {
  captivePortal,
  startFaultProxy,
  type Fault,
  type FaultProxy,
  type S3TestServer,
} from '@ws/test-servers'
import { s3Store, type S3Store, type S3StoreOptions } from '../src/index.ts'

const MIB = 1_048_576

const slowDown: Fault = {
  kind: 'answer',
  status: 503,
  headers: { 'content-type': 'application/xml', 'retry-after': '2' },
  body: '<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>',
}
/** What AWS answers when the clocks differ; the local R2 would take the request. */
const skewed: Fault = {
  kind: 'answer',
  status: 403,
  headers: { 'content-type': 'application/xml' },
  body: '<?xml version="1.0"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the current time is too large.</Message></Error>',
}
/** What AWS answers to a policy that allows reading only. */
const denied: Fault = {
  kind: 'answer',
  status: 403,
  headers: { 'content-type': 'application/xml' },
  body: '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>User is not authorized to perform: s3:PutObject because no identity-based policy allows it</Message></Error>',
}

/** Every kind of trouble that the conformance checks know, on one server behind proxies of its own. */
export async function openFixtures(
  server: S3TestServer,
): Promise<{ readonly fixtures: StoreFixtures; stop(): Promise<void> }> {
  const proxies: FaultProxy[] = []
  const behind = async (fault: Fault, match?: (request: { method: string; headers: object }) => boolean) => {
    const proxy = await startFaultProxy({ target: server.clientConfig.endpoint ?? '' })
    proxies.push(proxy)
    proxy.inject({ fault, times: Number.POSITIVE_INFINITY, ...(match === undefined ? {} : { match }) })
    return storeWith(server, { endpoint: proxy.through(server.clientConfig.endpoint ?? '') })
  }
  const isDownload = ({ method }: { method: string }): boolean => method === 'GET'
  const isChange = ({ method }: { method: string }): boolean => method === 'PUT' || method === 'DELETE'
  const isLargeUpload = ({
    method,
    headers,
  }: {
    method: string
    headers: { 'content-length'?: string }
  }): boolean => method === 'PUT' && Number(headers['content-length']) > MIB
  const missing = { ...server, bucket: `${server.bucket}-missing` }
  const fixtures = {
    missingBucket: () => storeWith(missing),
    outage: () => storeWith(server, { endpoint: 'http://127.0.0.1:9' }),
    throttled: () => behind(slowDown),
    captivePortal: () => behind(captivePortal),
    stalled: () => behind({ kind: 'hold', until: () => new Promise(() => undefined) }),
    stalledDownloads: () => behind({ kind: 'stall-down', afterBytes: 100_000 }, isDownload),
    cutUploads: () => behind({ kind: 'cut-up', afterBytes: 100_000 }, isLargeUpload),
    cutDownloads: () => behind({ kind: 'cut-down', afterBytes: 100_000 }, isDownload),
    shortDownloads: () => behind({ kind: 'shorten', toBytes: 2 * MIB }, isDownload),
    damagedUploads: () => behind({ kind: 'flip-up', atByte: 2 * MIB }, isLargeUpload),
    damagedDownloads: () => behind({ kind: 'flip-down', atByte: 2 * MIB }, isDownload),
    clockSkew: () => behind(skewed),
    readOnlyCredentials: () => behind(denied, isChange),
    ...(server.checksSignatures ? { wrongCredentials: () => storeWith(withWrongSecret(server)) } : {}),
  } satisfies Partial<Record<FixtureName, () => S3Store | Promise<S3Store>>>
  return {
    fixtures,
    async stop() {
      await Promise.all(proxies.map((proxy) => proxy.stop()))
    },
  }
}

export const WRONG_SECRET = 'this-secret-access-key-is-the-wrong-one'

function withWrongSecret(server: S3TestServer): S3TestServer {
  const credentials = {
    accessKeyId: server.clientConfig.credentials?.accessKeyId ?? 'unknown',
    secretAccessKey: WRONG_SECRET,
  }
  return { ...server, clientConfig: { ...server.clientConfig, credentials } }
}

/** A store whose client asks once only, so that each trouble shows at once. */
export function storeWith(
  server: S3TestServer,
  { endpoint, ...options }: Partial<S3StoreOptions> & { readonly endpoint?: string } = {},
): S3Store {
  return s3Store({
    bucket: server.bucket,
    client: { ...server.clientConfig, maxAttempts: 1, ...(endpoint === undefined ? {} : { endpoint }) },
    conditions: 'enforced',
    singlePutBytes: 8 * MIB,
    retry: { sleep: async () => undefined },
    ...options,
  })
}
