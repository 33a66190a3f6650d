import { createHash } from 'node:crypto'
import zlib from 'node:zlib'

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

  add(part: Uint8Array): void {
    this.#md5.update(part)
    this.#partMd5s.push(createHash('md5').update(part).digest())
    this.#crc32 = zlib.crc32(part, this.#crc32)
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
