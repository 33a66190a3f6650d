import type { ObjectStore } from '@ws/core'
import { gcsStore } from './gcs-store.ts'

export interface OpenGcsStoreOptions {
  /** The bucket's name. */
  readonly bucket: string
  /** @default the whole bucket */
  readonly prefix?: string | undefined
}

/**
 * The store of `gs://bucket/prefix`, with the credentials that the SDK finds by itself (Application Default
 * Credentials: `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth application-default login`, or the machine's account).
 */
export async function openGcsStore({ bucket, prefix }: OpenGcsStoreOptions): Promise<ObjectStore> {
  const { Storage } = await import('@google-cloud/storage')
  return gcsStore({ bucket: new Storage().bucket(bucket), prefix })
}
