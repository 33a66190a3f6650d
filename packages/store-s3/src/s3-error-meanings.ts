import type { Meaning } from '@ws/core'

const wrongKey: Meaning = [
  'ACCESS_DENIED',
  'the service does not know this access key or its secret; check the credentials of the client',
]
const expired: Meaning = ['ACCESS_DENIED', 'the credentials have expired; get new ones']
export const busy: Meaning = ['UNAVAILABLE', 'the service is overloaded; try again later']
const full: Meaning = [
  'QUOTA_EXCEEDED',
  'the storage is full or its quota is used up; free space or raise it',
]
export const wrongRegion: Meaning = ['INVALID_INPUT', 'the bucket is in another region']
const damagedOnTheWay: Meaning = [
  'UNAVAILABLE',
  'the bytes were damaged on the way and the service refused them; try again',
]
export const locked: Meaning = [
  'ACCESS_DENIED',
  'an object lock protects what is stored; wait until it ends, or lift it',
]
const denied: Meaning = [
  'ACCESS_DENIED',
  'the credentials do not allow it; compare their policy with the permissions that the store needs (without s3:ListBucket, AWS answers so for every key that does not exist)',
]

/** By the `Code` in the service's answer, or the SDK's own name of an error. */
export const meanings: Readonly<Record<string, Meaning>> = {
  NoSuchBucket: ['NOT_FOUND', 'the bucket does not exist; create it, or correct its name'],
  AccessDenied: denied,
  AllAccessDisabled: denied,
  AccountProblem: ['ACCESS_DENIED', 'the account has a problem; ask the provider'],
  InvalidAccessKeyId: wrongKey,
  SignatureDoesNotMatch: wrongKey,
  Unauthorized: wrongKey,
  InvalidToken: wrongKey,
  NotSignedUp: wrongKey,
  ExpiredToken: expired,
  ExpiredTokenException: expired,
  TokenRefreshRequired: expired,
  ExpiredRequest: expired,
  CredentialsProviderError: ['ACCESS_DENIED', 'no credentials were found; give the client some'],
  RequestTimeTooSkewed: [
    'ACCESS_DENIED',
    "this machine's clock differs too much from the service's; set the clock",
  ],
  ERR_INVALID_URL: ['INVALID_INPUT', 'the endpoint is not a URL; correct it'],
  ERR_INVALID_CHAR: [
    'INVALID_INPUT',
    'the credentials hold what no header can, such as a line break; correct them',
  ],
  PermanentRedirect: wrongRegion,
  TemporaryRedirect: wrongRegion,
  AuthorizationHeaderMalformed: wrongRegion,
  IllegalLocationConstraintException: wrongRegion,
  ObjectLocked: locked,
  ObjectLockedByBucketPolicy: locked,
  InvalidObjectState: [
    'UNSUPPORTED',
    'the object lies in an archive storage class; restore it first, and exclude the prefix from such rules',
  ],
  QuotaExceeded: full,
  QuotaExceededException: full,
  XMinioStorageFull: full,
  XMinioAdminBucketQuotaExceeded: full,
  InsufficientCapacity: full,
  TooManyBuckets: full,
  EntityTooLarge: ['QUOTA_EXCEEDED', 'the service takes no object or part of this size'],
  KeyTooLongError: ['INVALID_INPUT', 'the service takes no key of this length; use a shorter key or prefix'],
  MetadataTooLarge: ['INVALID_INPUT', 'the service takes no more than 2 KiB of metadata; give less'],
  InvalidBucketName: ['INVALID_INPUT', 'the bucket name is not valid; correct it'],
  InvalidRange: ['INVALID_INPUT', 'the range starts at or past the end of the object'],
  BadDigest: damagedOnTheWay,
  InvalidDigest: damagedOnTheWay,
  XAmzContentSHA256Mismatch: damagedOnTheWay,
  XAmzContentChecksumMismatch: damagedOnTheWay,
  IncompleteBody: ['UNAVAILABLE', 'the connection broke off; try again'],
  RequestTimeout: ['TIMEOUT', 'the service waited too long for the bytes; try again'],
  TimeoutError: ['TIMEOUT', 'the service did not answer in time; try again'],
  NoSuchUpload: [
    'UNAVAILABLE',
    'the multipart upload vanished while it was written (a lifecycle rule, or another process); try again',
  ],
  InvalidPart: ['UNAVAILABLE', 'a part of the upload got lost; try again'],
  ConditionalRequestConflict: [
    'UNAVAILABLE',
    'other writers kept the key busy; nothing was stored, try again',
  ],
  OperationAborted: ['UNAVAILABLE', 'another operation kept the key busy; nothing was stored, try again'],
  NotImplemented: [
    'UNSUPPORTED',
    'the service lacks what was asked for; where it is a condition, call probe() once after opening the store',
  ],
  MethodNotAllowed: ['UNSUPPORTED', 'the service does not allow this operation here'],
  SlowDown: busy,
  ServiceUnavailable: busy,
  InternalError: ['UNAVAILABLE', 'the service failed; try again'],
}

export const meaningsByStatus: Readonly<Record<number, Meaning>> = {
  301: wrongRegion,
  307: wrongRegion,
  401: wrongKey,
  403: denied,
  408: ['TIMEOUT', 'the service waited too long; try again'],
  413: ['QUOTA_EXCEEDED', 'the service takes no object or part of this size'],
  429: busy,
  501: ['UNSUPPORTED', 'the service lacks what was asked for'],
  507: full,
}

export const notS3: Meaning = [
  'UNAVAILABLE',
  'what answered is not an S3 service; look for a proxy or a network that wants a sign-in, and check the endpoint',
]
