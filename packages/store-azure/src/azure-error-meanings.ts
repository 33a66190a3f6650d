import { meaningsByName, type Meaning } from '@ws/core'

export const damagedOnTheWay: Meaning = [
  'UNAVAILABLE',
  'the bytes were damaged on the way and the service refused them; try again',
]

export const noToken: Meaning = [
  'ACCESS_DENIED',
  'Entra ID gave no token; sign in with "az login", or set the variables of the credential, and look at the cause',
]

/**
 * By the service's own codes, where they say more than their status. From its lists:
 * https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes and common-rest-api-error-codes beside it.
 */
export const meanings: ReadonlyMap<string, Meaning> = meaningsByName([
  [['NOT_FOUND', 'the account or the container does not exist; correct its name'], 'ResourceNotFound'],
  [
    [
      'ACCESS_DENIED',
      'the credentials were refused; check the account, its key or token, the expiry of a signature, and the clock of this machine',
    ],
    'AuthenticationFailed',
  ],
  [
    ['ACCESS_DENIED', 'the request carried no credentials; give the client some'],
    'NoAuthenticationInformation',
    'PublicAccessNotPermitted',
  ],
  [
    ['ACCESS_DENIED', 'the credentials are malformed or have expired; renew them'],
    'InvalidAuthenticationInfo',
  ],
  [
    [
      'ACCESS_DENIED',
      'the credentials or the network rules do not allow it; check the expiry of a signature, and the firewall of the account',
    ],
    'AuthorizationFailure',
    'AuthorizationProtocolMismatch',
    'AuthorizationSourceIPMismatch',
  ],
  [
    [
      'ACCESS_DENIED',
      'the credentials do not allow it; grant "Storage Blob Data Contributor" or the missing permission of the signature',
    ],
    'AuthorizationPermissionMismatch',
    'AuthorizationResourceTypeMismatch',
    'AuthorizationServiceMismatch',
    'InsufficientAccountPermissions',
    'UnauthorizedBlobOverwrite',
  ],
  [
    ['ACCESS_DENIED', 'the account takes no account keys; use a token credential'],
    'KeyBasedAuthenticationNotPermitted',
  ],
  [
    ['ACCESS_DENIED', 'the account or the container is disabled; ask its administrator'],
    'AccountIsDisabled',
    'ContainerDisabled',
  ],
  [
    ['ACCESS_DENIED', 'an immutability policy or a legal hold protects the blob; wait for its end'],
    'BlobImmutableDueToPolicy',
  ],
  [
    [
      'ACCESS_DENIED',
      'the blob is encrypted with a key that the client does not give; give it, or delete the blob',
    ],
    'BlobCustomerSpecifiedEncryptionMismatch',
    'BlobUsesCustomerSpecifiedEncryption',
  ],
  [
    ['INVALID_INPUT', 'the service does not take the name; use another key, or a shorter one'],
    'InvalidResourceName',
    'InvalidUri',
    'RequestUrlFailedToParse',
  ],
  [['INVALID_INPUT', 'the metadata is larger than the service takes; give less'], 'MetadataTooLarge'],
  [['INVALID_INPUT', 'the range starts at or past the end of the object'], 'InvalidRange'],
  [
    ['QUOTA_EXCEEDED', 'it is larger than the service takes'],
    'BlobTierInadequateForContentLength',
    'BlockCountExceedsLimit',
    'BlockListTooLong',
    'ContentLengthLargerThanTierLimit',
    'RequestBodyTooLarge',
  ],
  [
    ['UNSUPPORTED', 'the blob is in the archive tier; rehydrate it, and exclude the prefix from such rules'],
    'BlobArchived',
  ],
  [['UNSUPPORTED', 'a blob of another type is there; delete it'], 'InvalidBlobType', 'ResourceTypeMismatch'],
  [
    ['UNSUPPORTED', 'the account or the version of the service does not support it'],
    'BlobAccessTierNotSupportedForAccountType',
    'ConditionHeadersNotSupported',
    'FeatureNotSupportedForAccount',
    'FeatureVersionMismatch',
    'MultipleConditionHeadersNotSupported',
    'UnsupportedHeader',
    'UnsupportedHttpVerb',
    'UnsupportedQueryParameter',
  ],
  [
    ['BUSY', 'somebody holds a lease on the blob or the container; wait for its end'],
    'LeaseAlreadyPresent',
    'LeaseIdMismatchWithBlobOperation',
    'LeaseIdMismatchWithContainerOperation',
    'LeaseIdMissing',
    'LeaseLost',
  ],
  [['BUSY', 'somebody is copying to the blob; wait for the end of that'], 'PendingCopyOperation'],
  [
    [
      'BUSY',
      'somebody is sending blocks of other names to the blob; wait for the end of that, or delete the blob',
    ],
    'InvalidBlockId',
  ],
  [damagedOnTheWay, 'Crc64Mismatch', 'InvalidMd5', 'Md5Mismatch'],
  [
    ['UNAVAILABLE', 'another writer replaced the blob while this one was sending; try again'],
    'InvalidBlobOrBlock',
    'InvalidBlockList',
  ],
  [['UNAVAILABLE', 'the blob was replaced while it was read; read it again'], 'BlobModifiedWhileReading'],
  [
    ['UNAVAILABLE', 'the blob is being brought back from the archive tier; try again later'],
    'BlobBeingRehydrated',
  ],
  [['UNAVAILABLE', 'the container is being deleted; try again later'], 'ContainerBeingDeleted'],
  [['UNAVAILABLE', 'the storage account is being created; try again later'], 'AccountBeingCreated'],
  [
    ['UNAVAILABLE', 'the service is busy; try again later'],
    'ServerBusy',
    'SnapshotOperationRateExceeded',
    'SystemInUse',
  ],
  [['UNAVAILABLE', 'the service failed; try again'], 'InternalError'],
  [['TIMEOUT', 'the service ran out of time; try again'], 'OperationTimedOut'],
])
