/** An answer of the JSON API that is no success, in the service's own shape. */
export class GcsProblem extends Error {
  readonly status: number
  readonly reason: string
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    reason: string,
    message: string,
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(message)
    this.status = status
    this.reason = reason
    this.headers = headers
  }

  toBody(): string {
    const { status, message, reason } = this
    const domain = status === 429 ? 'usageLimits' : 'global'
    return JSON.stringify({ error: { code: status, message, errors: [{ message, domain, reason }] } })
  }
}

export const noSuchBucket = (): GcsProblem =>
  new GcsProblem(404, 'notFound', 'The specified bucket does not exist.')

export const noSuchObject = (bucket: string, name: string): GcsProblem =>
  new GcsProblem(404, 'notFound', `No such object: ${bucket}/${name}`)

export const preconditionFailed = (): GcsProblem =>
  new GcsProblem(412, 'conditionNotMet', 'At least one of the pre-conditions you specified did not hold.')

export const tooManyMutations = (bucket: string, name: string): GcsProblem =>
  new GcsProblem(
    429,
    'rateLimitExceeded',
    `The object ${bucket}/${name} exceeded the rate limit for object mutation operations (create, update, and delete). Please reduce your request rate.`,
  )
