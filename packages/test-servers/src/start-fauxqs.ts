import { LOOPBACK } from './loopback.ts'
import type { S3TestServer } from './s3-test-server.ts'

const BUCKET = 'ws-test'

/**
 * An S3 emulator that speaks the SDK's default checksums and trailers.
 *
 * It is unfriendly where old gateways are: it takes any signature, ignores `If-Match` and `If-None-Match`, lists in the
 * order of a dictionary while it pages in another, takes at most 11 MiB a request, and keeps everything in memory.
 */
export async function startFauxqs(): Promise<S3TestServer> {
  const { startFauxqs: start } = await import('fauxqs')
  const server = await start({ host: LOOPBACK, port: 0, logger: false })
  server.createBucket(BUCKET)
  return {
    name: 'fauxqs',
    bucket: BUCKET,
    clientConfig: {
      endpoint: `http://${LOOPBACK}:${server.port}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    },
    checksSignatures: false,
    stop: () => server.stop(),
  }
}
