export { gcsStore, type GcsStoreOptions } from './gcs-store.ts'
export { openGcsStore, type OpenGcsStoreOptions } from './open-gcs-store.ts'
