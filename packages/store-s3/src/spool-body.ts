import type { Buffer } from 'node:buffer'
import { createHash, randomUUID } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, rm, type FileHandle } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import zlib from 'node:zlib'
import { WorkspaceError } from '@ws/core'
import type { BodyPart } from './body-parts.ts'
import { base64Crc32 } from './confirm-upload.ts'
import type { WholeBody } from './put-whole.ts'

/** What one put can carry, says AWS. */
const MAX_BYTES = 5 * 1_024 ** 3

/** Keeps a body in a private temporary file while `use` sends it. */
export async function spoolBody<T>(
  first: BodyPart,
  rest: AsyncIterable<BodyPart>,
  use: (body: WholeBody) => Promise<T>,
): Promise<T> {
  const path = join(tmpdir(), `ws-put-${randomUUID()}`)
  const file = await onDisk('open', () => open(path, 'wx+', 0o600))
  try {
    // Without a name, the file goes with the process, however that ends. Where that cannot be, it goes below.
    await rm(path).catch(() => undefined)
    return await use(await fill(file, first, rest))
  } finally {
    await file.close().catch(() => undefined)
    await rm(path, { force: true }).catch(() => undefined)
  }
}

async function fill(file: FileHandle, first: BodyPart, rest: AsyncIterable<BodyPart>): Promise<WholeBody> {
  const md5 = createHash('md5')
  const sha256 = createHash('sha256')
  let crc = 0
  let length = 0
  const add = async ({ bytes, release }: BodyPart): Promise<void> => {
    if (length + bytes.length > MAX_BYTES) throw tooLarge()
    await onDisk('write', () => file.write(bytes, 0, bytes.length, length))
    md5.update(bytes)
    sha256.update(bytes)
    crc = zlib.crc32(bytes, crc)
    length += bytes.length
    release()
  }
  await add(first)
  for await (const part of rest) await add(part)
  const hash: Buffer = md5.digest()
  return {
    length,
    crc32: () => crc,
    md5: async () => hash,
    sha256: sha256.digest('hex'),
    open(fail) {
      const stream = createReadStream('', { fd: file, start: 0, autoClose: false })
      // The SDK does not look: a file that cannot be read would let the request wait, and end the process.
      stream.on('error', (error) => fail(diskError('read', error)))
      return { Body: stream, ContentLength: length, ChecksumCRC32: base64Crc32(crc) }
    },
  }
}

async function onDisk<T>(action: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    throw diskError(action, error)
  }
}

function diskError(action: string, error: unknown): WorkspaceError {
  const errno = (error as { code?: unknown }).code
  const isFull = errno === 'ENOSPC' || errno === 'EDQUOT'
  return new WorkspaceError(
    isFull ? 'QUOTA_EXCEEDED' : 'UNAVAILABLE',
    `Cannot ${action} the temporary file of a put (${String(errno)}). ${isFull ? 'Free space in' : 'Look at'} ${tmpdir()}, or set TMPDIR.`,
    { cause: error, details: { errno: String(errno) } },
  )
}

function tooLarge(): WorkspaceError {
  return new WorkspaceError(
    'QUOTA_EXCEEDED',
    `A put with a condition goes by one request, which carries at most ${MAX_BYTES} bytes. Put the body without a condition.`,
    { details: { maxBytes: MAX_BYTES } },
  )
}
