import { DeleteObjectCommand } from '@aws-sdk/client-s3'
import type { S3Calls } from './s3-calls.ts'
import { isNoSuchKey, strangeAnswer } from './s3-error.ts'

const NO_CONTENT = 204

export async function deleteObject(calls: S3Calls, key: string, signal?: AbortSignal): Promise<void> {
  const about = { action: 'delete', key }
  const command = new DeleteObjectCommand({ Bucket: calls.bucket, Key: calls.base + key })
  try {
    const { status } = await calls.send(command, about, signal)
    if (status !== NO_CONTENT)
      throw strangeAnswer(
        about,
        calls.bucket,
        `the answer to a delete has status ${status}, not ${NO_CONTENT}`,
      )
  } catch (error) {
    if (!isNoSuchKey(error)) throw error
  }
}
