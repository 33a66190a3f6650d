/** A running S3 service with an empty bucket, and what a client needs to talk to it. */
export interface S3TestServer {
  /** What a test prints, so that it is clear what it ran against. */
  readonly name: string
  readonly bucket: string
  /** Options for `new S3Client`. */
  readonly clientConfig: S3TestClientConfig
  /** Whether a wrong signature is refused; some emulators take any. */
  readonly checksSignatures: boolean
  stop(): Promise<void>
}

/** The part of the SDK's `S3ClientConfig` that the servers differ in; this package does not depend on the SDK. */
export interface S3TestClientConfig {
  readonly endpoint?: string
  readonly region: string
  readonly forcePathStyle?: boolean
  readonly credentials?: { readonly accessKeyId: string; readonly secretAccessKey: string }
  readonly requestChecksumCalculation?: 'WHEN_REQUIRED' | 'WHEN_SUPPORTED'
  readonly responseChecksumValidation?: 'WHEN_REQUIRED' | 'WHEN_SUPPORTED'
  readonly expectContinueHeader?: boolean
}
