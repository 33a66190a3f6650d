import { once } from 'node:events'
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import { ContainerClient, newPipeline, type StorageSharedKeyCredential } from '@azure/storage-blob'
import type { ObjectStore } from '@ws/core'
import { onTestFinished } from 'vitest'
import { azureStore, type AzureStoreOptions } from '../src/index.ts'

type Options = Omit<AzureStoreOptions, 'container' | 'retry'>

/** A store whose client and adapter repeat nothing for long. */
export function storeAt(
  url: string,
  credential: StorageSharedKeyCredential,
  options: Options = {},
): ObjectStore {
  const container = new ContainerClient(url, newPipeline(credential, { retryOptions: { maxTries: 1 } }))
  return azureStore({ container, retry: { sleep: async () => undefined }, ...options })
}

/** One that a server answers in the place of the service, until the test is over. */
export async function storeBehind(
  listener: RequestListener,
  credential: StorageSharedKeyCredential,
  options: Options = {},
): Promise<ObjectStore> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  onTestFinished(async () => {
    server.closeAllConnections()
    await new Promise((resolve) => server.close(resolve))
  })
  const { port } = server.address() as AddressInfo
  return storeAt(`http://127.0.0.1:${port}/account/container`, credential, options)
}
