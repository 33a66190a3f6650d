import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { setImmediate as yieldToEventLoop } from 'node:timers/promises'
import {
  conditionFailed,
  readBody,
  readParts,
  type ObjectBody,
  type ObjectInfo,
  type PutOptions,
} from '@ws/core'
import { Crc32c } from './crc32c.ts'
import type { GcsClient } from './gcs-client.ts'
import { OBJECT_FIELDS, type ObjectResource } from './object-resource.ts'
import { readStoredObject, type PutTarget } from './read-stored-object.ts'
import { uploadInParts } from './upload-in-parts.ts'

/** A whole number of 256 KiB, as the service wants it; more makes fewer round trips, less takes less memory. */
const PART_BYTES = 8_388_608
/** A body in memory can be sent again as a whole, so up to here one request is better than a round trip for each part. */
const MAX_WHOLE_BYTES = 33_554_432
const HASH_SLICE_BYTES = 1_048_576

/** A body that fits goes in one request, all or nothing; a longer one in an upload of parts. */
export async function putObject(
  client: GcsClient,
  key: string,
  body: ObjectBody,
  options: PutOptions,
): Promise<ObjectInfo> {
  const target = toTarget(key, body, options)
  const whole = body instanceof Uint8Array ? body : undefined
  const fits = whole !== undefined && whole.length <= MAX_WHOLE_BYTES
  const parts = readParts(whole, readBody(key, body, options), fits ? MAX_WHOLE_BYTES : PART_BYTES)
  try {
    const first = await parts.next()
    if (first.done === true) throw new TypeError('A body has at least one part.')
    const stored = first.value.isLast
      ? await uploadWhole(client, target, first.value.bytes)
      : await uploadInParts(client, target, first.value.bytes, parts)
    return stored.info
  } finally {
    await parts.return(undefined)
  }
}

function toTarget(key: string, body: ObjectBody, options: PutOptions): PutTarget {
  const { ifAbsent, ifMatch, contentType = 'application/octet-stream', metadata = {}, signal } = options
  // Only a generation can match; 0 would mean "absent" to the service.
  if (ifMatch !== undefined && !/^[1-9]\d*$/.test(ifMatch)) throw conditionFailed(key, 'ifMatch')
  const generation = ifAbsent === true ? '0' : ifMatch
  return {
    key,
    query: {
      name: key,
      fields: OBJECT_FIELDS,
      ...(generation === undefined ? {} : { ifGenerationMatch: generation }),
    },
    resource: { name: key, contentType, metadata },
    condition: ifAbsent === true ? 'ifAbsent' : ifMatch === undefined ? undefined : 'ifMatch',
    isOnlyHere: generation !== undefined || !(body instanceof Uint8Array),
    signal,
  }
}

async function uploadWhole(client: GcsClient, target: PutTarget, bytes: Buffer): Promise<ObjectResource> {
  const crc32c = await checksumOf(bytes)
  const boundary = `ws-${randomUUID()}`
  const description = JSON.stringify({ ...target.resource, crc32c })
  const contentType = String(target.resource['contentType'])
  const head = `--${boundary}\r\ncontent-type: application/json; charset=UTF-8\r\n\r\n${description}\r\n--${boundary}\r\ncontent-type: ${contentType}\r\n\r\n`
  const response = await client.send({
    action: 'put',
    key: target.key,
    method: 'POST',
    url: client.uploadUrl(),
    query: { ...target.query, uploadType: 'multipart' },
    headers: { 'content-type': `multipart/related; boundary=${boundary}` },
    body: [Buffer.from(head), bytes, Buffer.from(`\r\n--${boundary}--\r\n`)],
    signal: target.signal,
    isOnlyHere: target.isOnlyHere,
    accept: [412],
  })
  return readStoredObject(client, response, target, bytes.length, crc32c)
}

async function checksumOf(bytes: Uint8Array): Promise<string> {
  const crc32c = new Crc32c()
  for (let start = 0; start < bytes.length; start += HASH_SLICE_BYTES) {
    if (start > 0) await yieldToEventLoop()
    crc32c.update(bytes.subarray(start, start + HASH_SLICE_BYTES))
  }
  return crc32c.toString()
}
