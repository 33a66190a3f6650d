import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { LOOPBACK } from './loopback.ts'
import { memoryDisk } from './memory-disk.ts'
import type { S3TestServer } from './s3-test-server.ts'

const ACCESS_KEY_ID = 'test-access-key-id'
const SECRET_ACCESS_KEY = 'test-secret-access-key-of-the-local-r2'
const BUCKET = 'ws-test'

/**
 * Cloudflare's own local R2 with its S3 endpoint: real signatures, atomic conditional puts, lists in byte order.
 *
 * It ignores conditions on CompleteMultipartUpload, CopyObject and DeleteObject, keeps no checksums, refuses the SDK's
 * checksum trailers, and never answers `Expect: 100-continue`; the client's options allow for the last two.
 */
export async function startR2Server(): Promise<S3TestServer> {
  const { Miniflare } = await import('miniflare')
  // It flushes each put to its disk.
  const directory = await mkdtemp(join(memoryDisk(), 'ws-r2-'))
  const miniflare = new Miniflare({
    r2Persist: directory,
    // It tells of each client that went away, which in tests is on purpose.
    handleRuntimeStdio(stdout: Readable, stderr: Readable) {
      stdout.resume()
      stderr.resume()
    },
    host: LOOPBACK,
    port: 0,
    modules: true,
    script: 'export default { fetch() { return new Response(null, { status: 404 }) } }',
    r2Buckets: {
      BUCKET: {
        id: BUCKET,
        s3Credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      },
    },
  })
  const origin = (await miniflare.ready).origin
  return {
    name: 'R2 (miniflare)',
    bucket: BUCKET,
    clientConfig: {
      endpoint: `${origin}/cdn-cgi/local/r2/s3`,
      region: 'auto',
      forcePathStyle: true,
      credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey: SECRET_ACCESS_KEY },
      requestChecksumCalculation: 'WHEN_REQUIRED',
      responseChecksumValidation: 'WHEN_REQUIRED',
      expectContinueHeader: false,
    },
    checksSignatures: true,
    async stop() {
      await miniflare.dispose()
      await rm(directory, { recursive: true, force: true })
    },
  }
}
