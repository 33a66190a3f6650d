import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { azureStore } from '@ws/store-azure'
import { startAzurite } from '@ws/test-servers'
import { describeEngine } from './describe-engine.ts'

describeEngine('Azure, by azurite', async () => {
  const server = await startAzurite()
  const { url, account, accountKey } = server
  const credential = new StorageSharedKeyCredential(account, accountKey)
  const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } })
  const container = new ContainerClient(`${url}/engine`, pipeline)
  await container.create()
  return { store: azureStore({ container }), close: () => server.stop() }
})
