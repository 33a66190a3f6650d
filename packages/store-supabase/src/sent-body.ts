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

/** Digests a body as it is sent. */
export class SentBodyDigest {
  readonly #md5 = createHash('md5')
  readonly #partMd5s: Buffer[] = []
  #crc32 = 0
  #size = 0

  get size(): number {
    return this.#size
  }

  /** Lets others have a turn. The part's memory must stay as it is until then. */
  async add(part: Uint8Array): Promise<void> {
    const ofPart = createHash('md5')
    for (let start = 0; start < part.length; start += SLICE_BYTES) {
      if (start > 0) await yieldToEventLoop()
      const slice = part.subarray(start, start + SLICE_BYTES)
      this.#md5.update(slice)
      ofPart.update(slice)
      this.#crc32 = zlib.crc32(slice, this.#crc32)
    }
    this.#partMd5s.push(ofPart.digest())
    this.#size += part.length
  }

  /** Sent in one request. */
  whole(): SentBody {
    return this.#body(this.#md5.digest('hex'))
  }

  /** Sent in a request for each part. */
  inParts(): SentBody {
    const ofParts = createHash('md5').update(Buffer.concat(this.#partMd5s)).digest('hex')
    return this.#body(`${ofParts}-${this.#partMd5s.length}`)
  }

  #body(etag: string): SentBody {
    return { size: this.#size, crc32: this.#crc32.toString(16), etag }
  }
}
