import { GetObjectCommand, HeadObjectCommand } from '@aws-sdk/client-s3'
import type { ObjectInfo } from '@ws/core'
import { toObjectInfo } from './object-info.ts'
import type { S3Calls } from './s3-calls.ts'
import { isInvalidRange, isMute, isNoSuchKey, strangeAnswer } from './s3-error.ts'

/**
 * What is stored under a key, or `null`. The answer to a HEAD has no body, so that a missing object looks like a missing
 * bucket, and an outdated token like a wrong key: after a refusal, a GET of one byte is asked for the reason.
 */
export async function headObject(
  calls: S3Calls,
  key: string,
  signal?: AbortSignal,
): Promise<ObjectInfo | null> {
  const about = { action: 'read', key }
  const input = { Bucket: calls.bucket, Key: calls.base + key }
  for (let attempt = 1; ; attempt += 1) {
    try {
      const { output } = await calls.send(new HeadObjectCommand(input), about, signal)
      const info = toObjectInfo(key, output.ContentLength, output)
      if (info === null) throw strangeAnswer(about, calls.bucket, 'the answer to a HEAD describes no object')
      return info
    } catch (error) {
      if (isNoSuchKey(error)) return null
      // The second time, a GET has just found the object that the HEAD does not show.
      if (!isMute(error) || attempt === 2) throw error
    }
    try {
      const command = new GetObjectCommand({ ...input, Range: 'bytes=0-0' })
      const { output } = await calls.send(command, about, signal)
      for await (const _ of calls.read(output.Body, about, signal));
    } catch (error) {
      if (isNoSuchKey(error)) return null
      // There is no first byte of an empty object.
      if (isInvalidRange(error)) continue
      throw error
    }
  }
}

/** Whether an object itself is packed so, and not only an answer that brings it. */
export async function isStoredWithEncoding(
  calls: S3Calls,
  key: string,
  encoding: string,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const command = new HeadObjectCommand({ Bucket: calls.bucket, Key: calls.base + key })
  const { output } = await calls.send(command, { action: 'read', key }, signal)
  return output.ContentEncoding === encoding
}
