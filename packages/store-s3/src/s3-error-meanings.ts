import { meaningsByName, type Meaning } from '@ws/core'

const wrongKey: Meaning = [
  'ACCESS_DENIED',
  'the service does not know this access key or its secret; check the credentials of the client',
]
const denied: Meaning = [
  'ACCESS_DENIED',
  'the credentials do not allow it; compare their policy with the permissions that the store needs (without s3:ListBucket, AWS answers so for every key that does not exist)',
]
export const locked: Meaning = [
  'ACCESS_DENIED',
  'an object lock protects what is stored; wait until it ends, or lift it',
]
export const wrongRegion: Meaning = ['INVALID_INPUT', 'the bucket is in another region']
export const busy: Meaning = ['UNAVAILABLE', 'the service is overloaded; try again later']
export const full: Meaning = [
  'QUOTA_EXCEEDED',
  'the storage is full or its quota is used up; free space or raise it',
]

/**
 * By the `Code` in a service's answer, or the SDK's own name of an error; what is not here goes by its status. From the
 * lists of AWS (https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html), R2, MinIO and Ceph.
 */
export const meanings: ReadonlyMap<string, Meaning> = meaningsByName([
  [
    wrongKey,
    'InvalidAccessKeyId',
    'SignatureDoesNotMatch',
    'InvalidSignature',
    'InvalidSecurity',
    'InvalidToken',
    'InvalidTokenId',
    'MissingAuthenticationToken',
    'MissingSecurityElement',
    'Unauthorized',
  ],
  [['ACCESS_DENIED', 'no credentials were found; give the client some'], 'CredentialsProviderError'],
  [
    ['ACCESS_DENIED', 'the credentials have expired; get new ones'],
    'ExpiredToken',
    'ExpiredTokenException',
    'ExpiredRequest',
    'InvalidSessionException',
    'TokenRefreshRequired',
  ],
  [
    ['ACCESS_DENIED', "this machine's clock differs too much from the service's; set the clock"],
    'RequestTimeTooSkewed',
  ],
  [denied, 'AccessDenied', 'UnauthorizedAccess', 'UnauthorizedAccessError', 'UnexpectedIPError'],
  [
    ['ACCESS_DENIED', 'the account has a problem; ask the provider'],
    'AccountProblem',
    'AllAccessDisabled',
    'InvalidPayer',
    'NotSignedUp',
    'UserSuspended',
  ],
  [
    [
      'ACCESS_DENIED',
      'the key that the bucket is encrypted with cannot be used; enable it, and allow its use',
    ],
    'KMS.DisabledException',
    'KMS.InvalidKeyUsageException',
    'KMS.KMSInvalidStateException',
    'KMS.NotFoundException',
  ],
  [locked, 'ObjectLocked', 'ObjectLockedByBucketPolicy'],
  [
    ['NOT_FOUND', 'the access point does not exist; create it, or correct its ARN'],
    'NoSuchAccessPoint',
    'NoSuchMultiRegionAccessPoint',
  ],
  [
    wrongRegion,
    'AuthorizationHeaderMalformed',
    'EndpointNotFound',
    'IllegalLocationConstraintException',
    'IncorrectEndpoint',
    'InvalidRegion',
    'PermanentRedirect',
    'PermanentRedirectControlError',
    'Redirect',
    'TemporaryRedirect',
  ],
  [
    ['INVALID_INPUT', 'the endpoint is not a URL; correct it, it begins with http:// or https://'],
    'ERR_INVALID_URL',
  ],
  [
    [
      'INVALID_INPUT',
      'no address can be made of the endpoint, region and bucket; correct them, an endpoint begins with http:// or https://',
    ],
    'EndpointError',
  ],
  [
    [
      'INVALID_INPUT',
      'the endpoint does not take requests for this host name; correct it, or set forcePathStyle',
    ],
    'InvalidAddressingHeader',
    'InvalidHostHeader',
  ],
  [
    ['INVALID_INPUT', 'the credentials hold what no header can, such as a line break; correct them'],
    'ERR_INVALID_CHAR',
  ],
  [
    ['INVALID_INPUT', 'the bucket name is not valid; correct it'],
    'InvalidAccessPoint',
    'InvalidAccessPointAliasError',
    'InvalidBucketName',
  ],
  [
    ['INVALID_INPUT', 'the service takes no key of this length; use a shorter key or prefix'],
    'KeyTooLong',
    'KeyTooLongError',
  ],
  [
    ['INVALID_INPUT', 'the service does not take this key; use another one'],
    'InvalidObjectName',
    'InvalidURI',
    'XMinioInvalidObjectName',
    'XMinioInvalidResourceName',
  ],
  [
    ['INVALID_INPUT', 'the service takes no more than 2 KiB of metadata; give less'],
    'MetadataTooLarge',
    'RequestHeaderSectionTooLarge',
  ],
  [['INVALID_INPUT', 'the range starts at or past the end of the object'], 'InvalidRange'],
  [
    ['INVALID_INPUT', 'the service takes no parts so small; open the store with a larger partBytes'],
    'EntityTooSmall',
  ],
  [
    ['QUOTA_EXCEEDED', 'the service takes no object or part of this size'],
    'EntityTooLarge',
    'MaxMessageLengthExceeded',
  ],
  [
    full,
    'InsufficientCapacity',
    'QuotaExceeded',
    'QuotaExceededException',
    'TooManyBuckets',
    'XMinioAdminBucketQuotaExceeded',
    'XMinioStorageFull',
  ],
  [
    [
      'UNSUPPORTED',
      'the object lies in an archive storage class; restore it first, and exclude the prefix from such rules',
    ],
    'InvalidObjectState',
  ],
  [
    ['UNSUPPORTED', 'the service cannot hold an object below another one; use another key or service'],
    'XMinioObjectExistsAsDirectory',
    'XMinioParentIsObject',
  ],
  [
    [
      'UNSUPPORTED',
      "the service wants the length of a body first; give the client requestChecksumCalculation: 'WHEN_REQUIRED'",
    ],
    'MissingContentLength',
  ],
  [
    [
      'UNSUPPORTED',
      'the service lacks what was asked for; where it is a condition, call probe() once after opening the store',
    ],
    'NotImplemented',
  ],
  [['UNSUPPORTED', 'the service does not allow this operation here'], 'MethodNotAllowed'],
  [
    ['UNAVAILABLE', 'the bytes were damaged on the way and the service refused them; try again'],
    'BadDigest',
    'InvalidDigest',
    'XAmzContentChecksumMismatch',
    'XAmzContentSHA256Mismatch',
  ],
  [
    ['UNAVAILABLE', 'the connection broke off; try again'],
    'ConnectionClosedByRequester',
    'IncompleteBody',
    'ResponseInterrupted',
  ],
  [
    [
      'UNAVAILABLE',
      'the multipart upload vanished while it was written (a lifecycle rule, or another process); try again',
    ],
    'NoSuchUpload',
  ],
  [['UNAVAILABLE', 'a part of the upload got lost; try again'], 'InvalidPart'],
  [
    ['UNAVAILABLE', 'other writers kept the key busy; nothing was stored, try again'],
    'ConditionalRequestConflict',
  ],
  [['UNAVAILABLE', 'another operation kept the key busy; nothing was stored, try again'], 'OperationAborted'],
  [busy, 'ServiceUnavailable', 'SlowDown'],
  [['UNAVAILABLE', 'the service failed; try again'], 'InternalError'],
  [['TIMEOUT', 'the service waited too long for the bytes; try again'], 'RequestTimeout'],
  [['TIMEOUT', 'the service did not answer in time; try again'], 'TimeoutError'],
])

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
