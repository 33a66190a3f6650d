export { s3Store, type S3Store, type S3StoreOptions } from './s3-store.ts'
export type { S3Probe, ProbeOptions } from './probe-bucket.ts'
