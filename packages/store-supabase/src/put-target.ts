/** What a put sends beside the bytes. */
export interface PutTarget {
  readonly key: string
  /** The key as the service has it. */
  readonly name: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
  /** Told from all other puts by this. */
  readonly nonce: string
  /** In bytes, when it is known beforehand. */
  readonly size: number | undefined
  readonly upsert: string
  readonly condition: 'ifAbsent' | 'ifMatch' | undefined
  readonly ifMatch: string | undefined
  readonly signal: AbortSignal | undefined
}
