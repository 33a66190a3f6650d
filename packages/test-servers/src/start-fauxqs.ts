import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { LOOPBACK } from './loopback.ts'
import type { S3TestServer } from './s3-test-server.ts'

const BUCKET = 'ws-test'

/**
 * An S3 emulator that speaks the SDK's default checksums and trailers, in a process of its own.
 *
 * It is unfriendly where old gateways are: it takes any signature, ignores `If-Match` and `If-None-Match`, lists in the
 * order of a dictionary while it pages in another, takes at most 11 MiB a request unless told otherwise, and keeps everything in memory.
 */
export async function startFauxqs(
  options: { readonly maxRequestBytes?: number } = {},
): Promise<S3TestServer> {
  const program = fileURLToPath(new URL('fauxqs-process.ts', import.meta.url))
  const { maxRequestBytes } = options
  const limit = maxRequestBytes === undefined ? [] : [`${maxRequestBytes}`]
  const child = fork(program, [LOOPBACK, BUCKET, ...limit], {
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  })
  const started = new AbortController()
  child.once('exit', (code) => started.abort(new Error(`fauxqs ended with ${code} before it listened`)))
  const [{ port }] = (await once(child, 'message', { signal: started.signal })) as [{ port: number }]
  return {
    name: 'fauxqs',
    bucket: BUCKET,
    clientConfig: {
      endpoint: `http://${LOOPBACK}:${port}`,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'any', secretAccessKey: 'any' },
    },
    checksSignatures: false,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
    },
  }
}
