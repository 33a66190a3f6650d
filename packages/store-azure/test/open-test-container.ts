import { randomUUID } from 'node:crypto'
import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { realAzureServer, startAzurite } from '@ws/test-servers'

export interface TestContainer {
  /** Which service it is: for the name of the test suite. */
  readonly service: string
  readonly container: ContainerClient
  readonly credential: StorageSharedKeyCredential
  readonly accountKey: string
  remove(): Promise<void>
}

/** A container of its own on azurite, or on the account that the environment names. */
export async function openTestContainer(): Promise<TestContainer> {
  const server = realAzureServer() ?? (await startAzurite())
  const credential = new StorageSharedKeyCredential(server.account, server.accountKey)
  const container = new ContainerClient(
    `${server.url}/ws-test-${randomUUID()}`,
    newPipeline(credential, { retryOptions: { maxTries: 1 } }),
  )
  await container.create()
  return {
    service: server.name,
    container,
    credential,
    accountKey: server.accountKey,
    async remove() {
      await container.deleteIfExists()
      await server.stop()
    },
  }
}
