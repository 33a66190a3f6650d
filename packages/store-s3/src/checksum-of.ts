import { createHash } from 'node:crypto'
import zlib from 'node:zlib'
import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import { bodyChecksum, plainEtag, type BodyChecksum } from '@ws/core'
import { base64Crc32 } from './confirm-upload.ts'
import { isHashEtag } from './object-info.ts'
import type { S3Calls } from './s3-calls.ts'

/**
 * What a whole object can be compared with: the checksum that was stored with it, which the SDK compares as well, but not
 * over a body that is put together from several answers; or else the MD5 that its etag is, as the SDK for Java 1 did.
 */
export function checksumOf(calls: S3Calls, output: GetObjectCommandOutput): BodyChecksum | undefined {
  const { ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256, ETag = '' } = output
  if (isOfBytes(ChecksumCRC32)) return crc32(ChecksumCRC32)
  if (isOfBytes(ChecksumSHA256)) return hash('sha256', 'base64', ChecksumSHA256, storedWith('SHA-256'))
  if (isOfBytes(ChecksumSHA1)) return hash('sha1', 'base64', ChecksumSHA1, storedWith('SHA-1'))
  const checksums = [ChecksumCRC32, ChecksumCRC32C, ChecksumCRC64NVME, ChecksumSHA1, ChecksumSHA256]
  const isNamedByHash =
    checksums.every((checksum) => checksum === undefined) &&
    calls.memory.etagsAreHashes &&
    isHashEtag(output) &&
    !ETag.includes('-')
  if (!isNamedByHash) return undefined
  return hash('md5', 'hex', plainEtag(ETag), 'its bytes do not have the MD5 that its etag tells')
}

/** That of a multipart upload is one of its parts' checksums, and ends with their number. */
function isOfBytes(checksum: string | undefined): checksum is string {
  return checksum !== undefined && !checksum.includes('-')
}

function crc32(stored: string): BodyChecksum {
  let value = 0
  return bodyChecksum(
    (chunk) => {
      value = zlib.crc32(chunk, value)
    },
    () => (base64Crc32(value) === stored ? null : storedWith('CRC-32')),
  )
}

function hash(algorithm: string, encoding: 'base64' | 'hex', stored: string, problem: string): BodyChecksum {
  const running = createHash(algorithm)
  return bodyChecksum(
    (chunk) => void running.update(chunk),
    () => (running.digest(encoding) === stored ? null : problem),
  )
}

function storedWith(name: string): string {
  return `its bytes do not have the ${name} that was stored with them`
}
