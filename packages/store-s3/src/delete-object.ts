import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import { headObject } from './head-object.ts'
import type { S3Calls } from './s3-calls.ts'
import { isNoSuchKey, strangeAnswer } from './s3-error.ts'

const NO_CONTENT = 204

/**
 * Removes an object. The answer says nothing but its status, which a proxy may give as well: where the service's other
 * answers tell the id of their request and this one does not, the object is looked for.
 */
export async function deleteObject(calls: S3Calls, key: string, signal?: AbortSignal): Promise<void> {
  const about = { action: 'delete', key }
  const command = new DeleteObjectCommand({ Bucket: calls.bucket, Key: calls.base + key })
  try {
    const { status, isNamed } = await calls.send(command, about, signal)
    if (status !== NO_CONTENT)
      throw strangeAnswer(
        about,
        calls.bucket,
        `the answer to a delete has status ${status}, not ${NO_CONTENT}`,
      )
    if (isNamed || !calls.memory.namesRequests) return
  } catch (error) {
    if (!isNoSuchKey(error)) throw error
    return
  }
  if ((await headObject(calls, key, signal)) !== null)
    throw strangeAnswer(about, calls.bucket, 'the object is there after the answer that it was deleted')
}
