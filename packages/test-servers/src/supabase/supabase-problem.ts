/** A refusal in the service's own shape: HTTP 400 whatever it is, with the status in the body; 500 stays 500. */
export class SupabaseProblem extends Error {
  readonly statusCode: number
  readonly error: string
  readonly code: string

  /** @param code its name; newer versions of the service send it beside the older `error` */
  constructor(statusCode: number, error: string, message: string, code = error) {
    super(message)
    this.code = code
    this.statusCode = statusCode
    this.error = error
  }

  get status(): number {
    return this.statusCode >= 500 ? this.statusCode : 400
  }

  toBody(): string {
    const { statusCode, error, message, code } = this
    return JSON.stringify({ statusCode: String(statusCode), code, error, message })
  }
}

export const noSuchBucket = (): SupabaseProblem =>
  new SupabaseProblem(404, 'Bucket not found', 'Bucket not found', 'NoSuchBucket')

export const noSuchObject = (): SupabaseProblem =>
  new SupabaseProblem(404, 'not_found', 'Object not found', 'NoSuchKey')

export const duplicate = (): SupabaseProblem =>
  new SupabaseProblem(409, 'Duplicate', 'The resource already exists', 'KeyAlreadyExists')

export const tooLarge = (): SupabaseProblem =>
  new SupabaseProblem(
    413,
    'Payload too large',
    'The object exceeded the maximum allowed size',
    'EntityTooLarge',
  )

export const invalidKey = (key: string): SupabaseProblem =>
  new SupabaseProblem(400, 'InvalidKey', `Invalid key: ${key}`)

export const rowSecurity = (): SupabaseProblem =>
  new SupabaseProblem(403, 'Unauthorized', 'new row violates row-level security policy', 'AccessDenied')

export const invalidToken = (reason: string): SupabaseProblem =>
  new SupabaseProblem(403, 'Unauthorized', reason, 'AccessDenied')

/** A row of `storage.objects` needs its bucket: the database's own check, which knows no policies. */
export const noRelatedBucket = (): SupabaseProblem =>
  new SupabaseProblem(404, 'InvalidRequest', 'The related resource does not exist')

/** The row is there, and its bytes are not. */
export const lostBytes = (): SupabaseProblem =>
  new SupabaseProblem(404, 'Not found', 'The resource was not found', 'NoSuchKey')
