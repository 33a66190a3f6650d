import { randomUUID } from 'node:crypto'
import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { startAzurite } from '@ws/test-servers'

export interface TestContainer {
  /** Which service it is: for the name of the test suite. */
  readonly service: string
  readonly container: ContainerClient
  readonly credential: StorageSharedKeyCredential
  close(): Promise<void>
}

/**
 * A container of its own on azurite, or on the account that `WS_TEST_AZURE_URL`, `WS_TEST_AZURE_ACCOUNT` and
 * `WS_TEST_AZURE_KEY` name.
 */
export async function openTestContainer(): Promise<TestContainer> {
  const { WS_TEST_AZURE_URL: url, WS_TEST_AZURE_ACCOUNT: account, WS_TEST_AZURE_KEY: accountKey } = process.env
  const live = url === undefined || account === undefined || accountKey === undefined ? null : { url, account, accountKey }
  const server = live ?? (await startAzurite())
  const credential = new StorageSharedKeyCredential(server.account, server.accountKey)
  const container = new ContainerClient(
    `${server.url}/ws-test-${randomUUID()}`,
    newPipeline(credential, { retryOptions: { maxTries: 1 } }),
  )
  await container.create()
  return {
    service: live === null ? 'azurite' : `the account ${account}`,
    container,
    credential,
    async close() {
      await container.deleteIfExists()
      if ('close' in server) await server.close()
    },
  }
}
