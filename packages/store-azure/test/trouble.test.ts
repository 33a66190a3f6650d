import { randomBytes } from 'node:crypto'
import {
  BlobSASPermissions,
  ContainerClient,
  StorageSharedKeyCredential,
  generateBlobSASQueryParameters,
  newPipeline,
} from '@azure/storage-blob'
import { fixtureChecks, runCheck } from '@ws/conformance'
import type { ObjectStore } from '@ws/core'
import { startTroubleFixtures } from '@ws/test-servers'
import { afterAll, describe, it } from 'vitest'
import { azureStore } from '../src/index.ts'
import { openTestContainer } from './open-test-container.ts'

const test = await openTestContainer()
const { container, credential } = test

function storeAt(url: string, using?: StorageSharedKeyCredential): ObjectStore {
  const pipeline = newPipeline(using, { retryOptions: { maxTries: 1 } })
  return azureStore({
    container: new ContainerClient(url, pipeline),
    retry: { sleep: async () => undefined },
  })
}

const trouble = await startTroubleFixtures({
  target: new URL(container.url).origin,
  open: (origin) => storeAt(container.url.replace(new URL(container.url).origin, origin), credential),
  busy: { status: 503, headers: { 'x-ms-error-code': 'ServerBusy', 'retry-after': '1' } },
})
afterAll(async () => {
  await trouble.stop()
  await test.remove()
})

const wrongKey = randomBytes(64).toString('base64')

function signed(startsInMs: number, endsInMs: number, permissions: string): ObjectStore {
  const query = generateBlobSASQueryParameters(
    {
      containerName: container.containerName,
      permissions: BlobSASPermissions.parse(permissions),
      startsOn: new Date(Date.now() + startsInMs),
      expiresOn: new Date(Date.now() + endsInMs),
    },
    credential,
  )
  return storeAt(`${container.url}?${query.toString()}`)
}

const fixtures = {
  ...trouble.fixtures,
  missingBucket: () => storeAt(`${container.url}-missing`, credential),
  wrongCredentials: () =>
    storeAt(container.url, new StorageSharedKeyCredential(credential.accountName, wrongKey)),
  readOnlyCredentials: () => signed(-60_000, 600_000, 'r'),
  // A signature that was made by a clock an hour ahead is not valid yet.
  clockSkew: () => signed(3_600_000, 7_200_000, 'racwd'),
}

describe(`in trouble, on ${test.service}`, () => {
  for (const check of fixtureChecks)
    it(check.name, async () => {
      await runCheck(check, azureStore({ container }), { fixtures, secrets: [wrongKey] })
    })
})
