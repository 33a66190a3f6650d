import { s3Store } from '@ws/store-s3'
import { startFauxqs, startR2Server } from '@ws/test-servers'
import { describeEngine } from './describe-engine.ts'

describeEngine('S3, by R2', async () => {
  const server = await startR2Server()
  const { bucket, clientConfig } = server
  const client = { ...clientConfig, maxAttempts: 1 }
  return { store: s3Store({ bucket, client, conditions: 'enforced' }), close: () => server.stop() }
})

describeEngine('S3, by a server that ignores conditions', async () => {
  const server = await startFauxqs()
  const { bucket, clientConfig } = server
  return {
    store: s3Store({ bucket, client: { ...clientConfig, maxAttempts: 1 } }),
    close: () => server.stop(),
  }
})
