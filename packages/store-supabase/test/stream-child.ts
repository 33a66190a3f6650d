import { storageFetch, supabaseStore } from '../src/index.ts'
import { storageClient } from './open-test-storage.ts'

/** Puts and gets a stream in a process of its own, and prints what that took in memory. */
const [url = '', key = '', bucket = '', mebibytes = '0', transport = ''] = process.argv.slice(2)
const client = storageClient(url, key, transport === 'storageFetch' ? storageFetch : undefined)
const store = supabaseStore({ client, bucket, prefix: 'stream-child' })
const count = Number(mebibytes)
/** Sampled, because the system's own peak counts what the parent had before this process began. */
let peakBytes = 0
const sample = (): void => void (peakBytes = Math.max(peakBytes, process.memoryUsage.rss()))

async function* source(): AsyncGenerator<Uint8Array> {
  for (let value = 0; value < count; value += 1) {
    sample()
    yield new Uint8Array(1_048_576).fill(value)
  }
}

const info = await store.put('large', source())
let received = 0
let readingBytes = 0
for await (const chunk of (await store.get('large', { reusesChunks: true }))?.body ?? []) {
  received += chunk.length
  sample()
  // The put before has left some, too.
  if (received > info.size / 2) readingBytes = Math.max(readingBytes, process.memoryUsage().arrayBuffers)
}
await store.delete('large')
process.stdout.write(JSON.stringify({ size: info.size, received, peakBytes, readingBytes }))
