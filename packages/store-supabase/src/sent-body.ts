import { createHash } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import zlib from 'node:zlib'

const SLICE_BYTES = 1_048_576

/** What was sent, to compare with what the service then has. */
export interface SentBody {
  readonly size: number
  readonly crc32: string
  /** What S3, below the service, makes the etag of; other backends have etags that say nothing of the content. */
  readonly etag: string
}

/** Digests a body while it is sent. */
export interface SentBodyDigest {
  /** Lets others have their turns. The memory must stay as it is until then. */
  add(part: Uint8Array): Promise<void>
  finish(): SentBody
}

/** Of a body that goes in one request. */
export function digestWhole(): SentBodyDigest {
  const md5 = createHash('md5')
  let crc32 = 0
  let size = 0
  return {
    async add(part) {
      for await (const slice of slicesOf(part)) {
        md5.update(slice)
        crc32 = zlib.crc32(slice, crc32)
      }
      size += part.length
    },
    finish: () => ({ size, crc32: crc32.toString(16), etag: md5.digest('hex') }),
  }
}

/** Of a body that goes in a request for each part. */
export function digestParts(): SentBodyDigest {
  const md5s: Buffer[] = []
  let crc32 = 0
  let size = 0
  return {
    async add(part) {
      const md5 = createHash('md5')
      for await (const slice of slicesOf(part)) {
        md5.update(slice)
        crc32 = zlib.crc32(slice, crc32)
      }
      md5s.push(md5.digest())
      size += part.length
    },
    finish() {
      const md5 = createHash('md5').update(Buffer.concat(md5s)).digest('hex')
      return { size, crc32: crc32.toString(16), etag: `${md5}-${md5s.length}` }
    },
  }
}

async function* slicesOf(part: Uint8Array): AsyncGenerator<Uint8Array, void, void> {
  for (let start = 0; start < part.length; start += SLICE_BYTES) {
    if (start > 0) await yieldToEventLoop()
    yield part.subarray(start, start + SLICE_BYTES)
  }
}
