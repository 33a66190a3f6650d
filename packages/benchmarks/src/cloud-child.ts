/** Does one task against a service in a process of its own; tells how long it took and the most memory that it had. */
import { once } from 'node:events'
import { createReadStream, createWriteStream, readFileSync } from 'node:fs'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { Workspace, type ObjectStore } from '@ws/core'
import type { CloudConnection, CloudTask } from './run-cloud-child.ts'

/** A service as its SDK's user has it: whole files up and down; and as a store. */
interface Cloud {
  readonly store: ObjectStore
  upload(file: string): Promise<unknown>
  download(file: string): Promise<unknown>
}

const OBJECT = 'plain/archive.tar.zst'
const { task, id, connection, directory, stateDirectory, file } = JSON.parse(
  process.argv[2] ?? '',
) as CloudTask
const cloud = await open(connection)
const workspace = new Workspace({
  id,
  path: directory,
  store: cloud.store,
  stateDir: stateDirectory,
})
const tasks: Readonly<Record<CloudTask['task'], () => Promise<unknown>>> = {
  save: () => workspace.save('bench'),
  'save again': () => workspace.save('bench'),
  load: () => workspace.load(),
  upload: () => cloud.upload(file),
  download: () => cloud.download(file),
}
if (task === 'save again') await workspace.save('before')
const told = once(process, 'message')
process.send?.('ready')
await told
const start = performance.now()
await tasks[task]()
const ms = performance.now() - start
process.on('disconnect', () => process.exit(0))
process.send?.({ ms, megabytes: peakKibibytes() / 1024 })

/** Loads the one SDK that is needed: each takes tens of megabytes. */
async function open(given: CloudConnection): Promise<Cloud> {
  if (given.kind === 's3') {
    const { GetObjectCommand, S3Client } = await import('@aws-sdk/client-s3')
    const { Upload } = await import('@aws-sdk/lib-storage')
    const { s3Store } = await import('@ws/store-s3')
    const { bucket, clientConfig, conditions } = given
    const client = new S3Client(clientConfig)
    return {
      store: s3Store({ bucket, client: { ...clientConfig, maxAttempts: 1 }, conditions }),
      upload: (path) =>
        new Upload({ client, params: { Bucket: bucket, Key: OBJECT, Body: createReadStream(path) } }).done(),
      async download(path) {
        const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: OBJECT }))
        if (Body instanceof Readable) await pipeline(Body, createWriteStream(path))
      },
    }
  }
  if (given.kind === 'azure') {
    const { ContainerClient, StorageSharedKeyCredential, newPipeline } = await import('@azure/storage-blob')
    const { azureStore } = await import('@ws/store-azure')
    const credential = new StorageSharedKeyCredential(given.account, given.accountKey)
    const pipe = newPipeline(credential, { retryOptions: { maxTries: 1 } })
    const container = new ContainerClient(given.url, pipe)
    const blob = container.getBlockBlobClient(OBJECT)
    return {
      store: azureStore({ container }),
      upload: (path) => blob.uploadFile(path),
      download: (path) => blob.downloadToFile(path),
    }
  }
  if (given.kind === 'supabase') {
    const { createClient } = await import('@supabase/supabase-js')
    const { storageFetch, supabaseStore } = await import('@ws/store-supabase')
    const client = createClient(given.url, given.key, {
      auth: { persistSession: false },
      global: { fetch: storageFetch },
    })
    const bucket = client.storage.from('bucket')
    return {
      store: supabaseStore({ client, bucket: 'bucket' }),
      async upload(path) {
        const { error } = await bucket.upload(OBJECT, createReadStream(path), {
          upsert: true,
          duplex: 'half',
        })
        if (error !== null) throw error
      },
      async download(path) {
        const { data, error } = await bucket.download(OBJECT).asStream()
        if (error !== null) throw error
        await pipeline(Readable.fromWeb(data as never), createWriteStream(path))
      },
    }
  }
  const { Storage } = await import('@google-cloud/storage')
  const { gcsStore } = await import('@ws/store-gcs')
  const bucket = new Storage({ apiEndpoint: given.url, projectId: 'project' }).bucket('bucket')
  return {
    store: gcsStore({ bucket }),
    upload: (path) => bucket.upload(path, { destination: OBJECT }),
    download: (path) => bucket.file(OBJECT).download({ destination: path }),
  }
}

function peakKibibytes(): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  } catch {
    return process.resourceUsage().maxRSS
  }
}
