import {
  WorkspaceError,
  askedDelay,
  conditionFailed,
  connectionMeaning,
  missingBucket,
  plainCause,
  quoteKey,
  redactSecrets,
  serviceWords,
  unknownRefusal,
  type ErrorDetails,
  type Meaning,
  type StoreCall,
} from '@ws/core'
import { busy, full, wrongRegion, locked, meanings, meaningsByStatus, notS3 } from './s3-error-meanings.ts'

export interface CallAbout extends StoreCall {
  readonly condition?: 'ifAbsent' | 'ifMatch' | undefined
}

type About = CallAbout & { readonly bucket: string }

/** Puts what the SDK throws into the error table. What is no failure of a call comes back as it is. */
export function toStoreError(error: unknown, about: About, secrets: readonly string[]): unknown {
  if (WorkspaceError.is(error)) return error
  const facts = factsOf(error)
  const cause = plainCause(error, secrets)
  const details = detailsOf(about, facts)
  if (about.condition !== undefined && isConditionFailure(facts, about.condition)) {
    if (facts.attempts > 1) return unclearCondition(about, details, cause)
    const { message, details: conditionDetails } = conditionFailed(about.key, about.condition)
    return new WorkspaceError('CONFLICT', message, { cause, details: { ...details, ...conditionDetails } })
  }
  const [code, reason] =
    facts.name === 'NoSuchBucket' ? missingBucket(about.bucket) : meaningOf(error, facts, secrets)
  const region =
    facts.region === null || reason !== wrongRegion[1] ? '' : `: open the store with region "${facts.region}"`
  const what = about.key === '' ? `bucket ${quoteKey(about.bucket)}` : quoteKey(about.key)
  return new WorkspaceError(
    code,
    redactSecrets(`Cannot ${about.action} ${what} in S3: ${reason}${region} (${nameOf(facts)}).`, secrets),
    { cause, details },
  )
}

/** The error of an answer that no S3 service gives, such as the page of a network that wants a sign-in. */
export function strangeAnswer(about: CallAbout, bucket: string, what: string): WorkspaceError {
  return new WorkspaceError(
    notS3[0],
    `Cannot ${about.action} ${quoteKey(about.key === '' ? bucket : about.key)} in S3: ${notS3[1]} (${what}).`,
    { details: { key: about.key, bucket } },
  )
}

/** Whether a call found that an object is not there; a missing bucket is not that, nor is somebody else's 404. */
export function isNoSuchKey(error: unknown): boolean {
  return WorkspaceError.is(error) && error.details['service'] === 'NoSuchKey'
}

/** Whether a range was refused because no byte is in it. */
export function isInvalidRange(error: unknown): boolean {
  return WorkspaceError.is(error) && error.details['service'] === 'InvalidRange'
}

/** Whether a call was refused without a word, as every refusal of a HEAD is. */
export function isMute(error: unknown): boolean {
  return WorkspaceError.is(error) && error.details['service'] === '' && Number(error.details['status']) >= 300
}

/** Whether a request was, or may have been, refused for the time that it was signed with: a HEAD is told no reason. */
export function isOfWrongTime(error: unknown): boolean {
  if (!WorkspaceError.is(error) || error.details['status'] !== 403) return false
  return error.details['service'] === 'RequestTimeTooSkewed' || error.details['service'] === ''
}

/** Whether a connection ended in the middle of a request. */
export function isReset(error: unknown): boolean {
  return WorkspaceError.is(error) && ['ECONNRESET', 'EPIPE'].includes(String(error.details['network']))
}

/** Whether another writer was busy with the key, so that nothing was done yet. */
export function isRace(error: unknown): boolean {
  const service = WorkspaceError.is(error) ? error.details['service'] : ''
  return service === 'ConditionalRequestConflict' || service === 'OperationAborted'
}

interface Facts {
  /** The code that the service gave, else that of the network, else the name of the SDK's error. */
  readonly name: string
  /** Only what the service itself called it; empty when it said nothing. */
  readonly service: string
  readonly status: number
  readonly attempts: number
  readonly requestId: string | null
  readonly region: string | null
  /** How long the service asks to wait. */
  readonly asked: ReturnType<typeof askedDelay>
}

interface SdkError {
  readonly name?: unknown
  readonly code?: unknown
  readonly Code?: unknown
  readonly Region?: unknown
  readonly $metadata?: { httpStatusCode?: number; attempts?: number; requestId?: string | undefined }
  readonly $response?: { statusCode?: number; headers?: Record<string, string> }
}

function factsOf(error: unknown): Facts {
  const { name, code, Code, Region, $metadata, $response }: SdkError =
    typeof error === 'object' && error !== null ? error : {}
  const status = $metadata?.httpStatusCode ?? $response?.statusCode ?? 0
  const service = word(Code) ?? ''
  const headers = $response?.headers ?? {}
  return {
    name: service !== '' ? service : (word(code) ?? word(name) ?? 'Error'),
    service,
    status,
    attempts: $metadata?.attempts ?? 1,
    requestId: word($metadata?.requestId),
    region: regionName(text(Region) ?? text(headers['x-amz-bucket-region'])),
    asked: askedDelay((header) => headers[header]),
  }
}

function meaningOf(error: unknown, { name, service, status }: Facts, secrets: readonly string[]): Meaning {
  const message = error instanceof Error ? error.message : ''
  // AWS says AccessDenied, MinIO InvalidRequest; the reason is in the words only.
  if (status >= 400 && /\bWORM\b|object lock/i.test(message)) return locked
  const known = meanings.get(name) ?? meaningOfKind(name)
  if (known !== undefined) return known
  const byStatus = meaningsByStatus[status]
  if (status >= 400 && service !== '') {
    const [code, reason] = byStatus ?? unknownRefusal(status)
    return [code, reason + serviceWords(message, secrets)]
  }
  if (byStatus !== undefined) return byStatus
  if (status >= 500) return ['UNAVAILABLE', 'the service failed; try again']
  // A service says what it refuses for, if not to a HEAD.
  if (status >= 200 || isUnreadable(error)) return notS3
  if (/^E[A-Z]{3,}/.test(name)) return connectionMeaning(name)
  const byWords = meaningOfWords(message)
  if (byWords !== undefined) return byWords
  if (error instanceof Error && 'code' in error) return connectionMeaning(name)
  return ['INTERNAL', 'the client failed']
}

/** Each service has names of its own for these. */
function meaningOfKind(name: string): Meaning | undefined {
  if (/quotaexceeded|capexceeded|storage(?:full|limit)/i.test(name)) return full
  return /throttl|toomanyrequests|slowdown|limitexceeded/i.test(name) ? busy : undefined
}

/** What the SDK says in words only. */
function meaningOfWords(message: string): Meaning | undefined {
  if (message.startsWith('Checksum mismatch'))
    return ['CORRUPT', 'the bytes that came do not have the checksum that was stored with them']
  if (message === 'Resolved credential object is not valid')
    return ['ACCESS_DENIED', 'the credentials have no accessKeyId or no secretAccessKey; correct them']
  if (message.startsWith('Region is missing'))
    return ['INVALID_INPUT', 'no region is known; give the client one, or set AWS_REGION']
  return undefined
}

/** The SDK could not make sense of an answer, or it was longer than any of the service. */
function isUnreadable(error: unknown): boolean {
  if (error instanceof SyntaxError || error instanceof RangeError) return true
  return error instanceof Error && /deserializ|parse/i.test(error.message)
}

function isConditionFailure(
  { name, service, status }: Facts,
  condition: NonNullable<CallAbout['condition']>,
): boolean {
  // R2 looks at its bucket lock before it looks at the condition; what is locked is there.
  if (service === 'ObjectLockedByBucketPolicy') return condition === 'ifAbsent'
  return name === 'PreconditionFailed' || status === 412 || (service === 'NoSuchKey' && status === 404)
}

/** The SDK repeated the put: the first try may have been the one that made the condition fail. */
function unclearCondition(about: About, details: ErrorDetails, cause: Error): WorkspaceError {
  return new WorkspaceError(
    'UNAVAILABLE',
    `Cannot tell whether ${quoteKey(about.key)} was put: the first answer got lost, and the repeated request found the condition broken. Read the object, then decide.`,
    { cause, details: { ...details, outcome: 'unknown' } },
  )
}

/** Whether a put may be the one that made its own condition fail. */
export function isUnclear(error: unknown): boolean {
  return WorkspaceError.is(error) && error.details['outcome'] === 'unknown'
}

function detailsOf({ key, bucket }: About, facts: Facts): ErrorDetails {
  const { service, status, requestId, region, name, asked } = facts
  return {
    key,
    bucket,
    service,
    status,
    ...(status === 0 ? { network: name } : {}),
    ...(requestId === null ? {} : { requestId }),
    ...(region === null ? {} : { region }),
    ...asked,
  }
}

function nameOf({ name, status }: Facts): string {
  return status === 0 ? name : `${name}, HTTP ${status}`
}

/** Only what can be one: it goes into a message. */
function regionName(region: string | null): string | null {
  return region !== null && /^[a-z0-9-]{1,40}$/.test(region) ? region : null
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

/** Only what can be a name or an id: it goes into details and messages. */
function word(value: unknown): string | null {
  return typeof value === 'string' && /^[\w.:+/=-]{1,100}$/.test(value) ? value : null
}
