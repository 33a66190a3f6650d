import { Storage } from '@google-cloud/storage'
import { gcsStore } from '@ws/store-gcs'
import { startGcsServer } from '@ws/test-servers'
import { describeEngine } from './describe-engine.ts'

describeEngine('Google Cloud Storage, by its protocol on loopback', async () => {
  const server = await startGcsServer()
  const bucket = new Storage({ apiEndpoint: server.url, projectId: 'project' }).bucket('bucket')
  return { store: gcsStore({ bucket }), close: () => server.stop() }
})
