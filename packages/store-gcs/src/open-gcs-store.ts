import {
  WorkspaceError,
  assertKnownOptions,
  isBucketName,
  isStorePrefix,
  type ObjectStore,
  type OptionNames,
} from '@ws/core'
import { gcsStore } from './gcs-store.ts'

export interface OpenGcsStoreOptions {
  /** The bucket's name. */
  readonly bucket: string
  /** @default the whole bucket */
  readonly prefix?: string | undefined
}

const openGcsStoreOptionNames: OptionNames<OpenGcsStoreOptions> = {
  bucket: isBucketName,
  prefix: isStorePrefix,
}

/**
 * The store of `gs://bucket/prefix`, with the credentials that the SDK finds by itself (Application Default
 * Credentials: `GOOGLE_APPLICATION_CREDENTIALS`, `gcloud auth application-default login`, or the machine's account).
 *
 * @throws `INVALID_INPUT` without a bucket
 */
export async function openGcsStore(options: OpenGcsStoreOptions): Promise<ObjectStore> {
  assertKnownOptions('openGcsStore', options, openGcsStoreOptionNames)
  const { bucket, prefix } = options
  if (bucket === undefined)
    throw new WorkspaceError('INVALID_INPUT', 'openGcsStore needs the name of a bucket.')
  const { Storage } = await import('@google-cloud/storage')
  return gcsStore({ bucket: new Storage().bucket(bucket), prefix })
}
