import { generateKeyPairSync } from 'node:crypto'
import { Storage, type Bucket } from '@google-cloud/storage'
import { startGcsServer, startServerProcess, type GcsServer, type GcsServerOptions } from '@ws/test-servers'

export interface TestBucket {
  /** Which service it is: for the name of the test suite. */
  readonly service: string
  readonly bucket: Bucket
  close(): Promise<void>
}

/** The bucket that `WS_TEST_GCS_BUCKET` names, with the machine's own credentials; else one of a server on loopback. */
export async function openTestBucket(): Promise<TestBucket> {
  const name = process.env['WS_TEST_GCS_BUCKET']
  if (name !== undefined && name !== '')
    return {
      service: `Google Cloud Storage, bucket ${name}`,
      bucket: new Storage().bucket(name),
      close: async () => undefined,
    }
  const server = await startServerProcess('gcs', { signer: account.signer })
  return { service: server.name, bucket: signingBucket(server.url), close: () => server.stop() }
}

const { publicKey, privateKey } = generateKeyPairSync('rsa', {
  modulusLength: 2_048,
  publicKeyEncoding: { type: 'spki', format: 'pem' },
  privateKeyEncoding: { type: 'pkcs8', format: 'pem' },
})
const account = { privateKey, signer: { email: 'writer@project.iam.gserviceaccount.com', publicKey } }

/** A server that takes the URLs that `signingBucket` signs. */
export function startSigningServer(options: GcsServerOptions = {}): Promise<GcsServer> {
  return startGcsServer({ signer: account.signer, ...options })
}

/** A bucket of a service account whose key is here, so that URLs are signed here. */
export function signingBucket(origin: string, name = 'bucket'): Bucket {
  return new Storage({
    apiEndpoint: origin,
    projectId: 'project',
    credentials: { client_email: account.signer.email, private_key: account.privateKey },
  }).bucket(name)
}

/** A bucket whose requests carry no credentials. */
export function plainBucket(origin: string): Bucket {
  return new Storage({ apiEndpoint: origin, projectId: 'project' }).bucket('bucket')
}

/** What no error may repeat. */
export const secrets = ['secret-access-token', 'secret-of-the-client', 'secret-refresh-token'] as const

/** A bucket whose requests carry this access token. */
export function tokenBucket(origin: string, token: string = secrets[0], name = 'bucket'): Bucket {
  const client = new Storage().authClient.fromJSON({
    type: 'authorized_user',
    client_id: 'client',
    client_secret: secrets[1],
    refresh_token: secrets[2],
  })
  client.setCredentials({ access_token: token, expiry_date: Date.now() + 86_400_000 })
  return new Storage({
    apiEndpoint: origin,
    projectId: 'project',
    authClient: client,
    useAuthWithCustomEndpoint: true,
  }).bucket(name)
}
