import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { createBundleStore } from '@ws/core'
import { azureStore } from '@ws/store-azure'
import { startAzurite } from '@ws/test-servers'
import { afterAll, beforeAll, expect, it } from 'vitest'

// A lease is the lock that a server on loopback really keeps; those of the other services are answers in bad-input.test.ts.

let server: Awaited<ReturnType<typeof startAzurite>>
let container: ContainerClient
let directory: string
beforeAll(async () => {
  server = await startAzurite()
  const credential = new StorageSharedKeyCredential(server.account, server.accountKey)
  container = new ContainerClient(
    `${server.url}/locks`,
    newPipeline(credential, { retryOptions: { maxTries: 1 } }),
  )
  await container.create()
  directory = mkdtempSync(join(tmpdir(), 'ws-locked-'))
})
afterAll(async () => {
  rmSync(directory, { recursive: true, force: true })
  await server.stop()
}) // prettier-ignore

it('a prune leaves what is leased in Azure and removes the rest; when the lease has ended, the next one removes it', async () => {
  const store = azureStore({ container })
  const versions = createBundleStore(store, { reliability: false })
  const packs = async (): Promise<readonly string[]> =>
    (await Array.fromAsync(store.list('packs/'))).map(({ key }) => key)
  const lease = async (key: string) => {
    const client = container.getBlobClient(key).getBlobLeaseClient()
    await client.acquireLease(-1)
    return client
  }
  let oldPack = ''
  for (const version of [1, 2, 3]) {
    writeFileSync(join(directory, 'file'), randomBytes(9_000_000))
    await versions.save('w', directory, { message: `version ${version}` })
    oldPack = oldPack === '' ? ((await packs())[0] ?? '') : oldPack
  }
  const held = await lease(oldPack)
  await expect(store.delete(oldPack)).rejects.toMatchObject({ code: 'BUSY' })
  expect(await versions.prune({ keepLast: 1 }, { exclusive: true })).toMatchObject({
    keptVersions: 1,
    locked: { packs: 1 },
  })
  expect(await packs()).toHaveLength(2)
  expect(await versions.verify('w')).toMatchObject({ problems: [] })

  await held.releaseLease()
  expect(await versions.prune(null, { exclusive: true })).toMatchObject({ locked: { packs: 0 }, deleted: { packs: 1 } })
  expect(await packs()).toHaveLength(1)
  expect(await versions.verify('w')).toMatchObject({ problems: [] })
}) // prettier-ignore
