import { createHash } from 'node:crypto'
import type { S3ClientConfig } from '@aws-sdk/client-s3'
import { s3Store } from '../src/index.ts'

/** Run by `s3-store.test.ts`: puts and reads a large stream, and tells the most memory that this process ever had. */
const PIECES = 200
const [config = '', bucket = ''] = process.argv.slice(2)
const store = s3Store({ bucket, client: JSON.parse(config) as S3ClientConfig })

const sent = createHash('sha256')
async function* source(): AsyncGenerator<Uint8Array> {
  const piece = Buffer.alloc(1_048_576)
  for (let value = 0; value < PIECES; value += 1) {
    piece.fill(value)
    sent.update(piece)
    yield piece
  }
}
const { size } = await store.put('streamed', source())

const received = createHash('sha256')
for await (const chunk of (await store.get('streamed'))?.body ?? []) received.update(chunk)
await store.delete('streamed')
const result = {
  bytes: size,
  peakBytes: process.resourceUsage().maxRSS * 1_024,
  digests: [sent.digest('hex'), received.digest('hex')],
}
process.stdout.write(JSON.stringify(result), () => process.exit(0))
