import type { ObjectStore } from '@ws/core'

/** Opens a store in a condition that the checks cannot bring about themselves. */
export type OpenFixture = () => ObjectStore | Promise<ObjectStore>

/**
 * Stores in trouble, on the same bucket as the sound one unless the name says otherwise. Every fixture is optional; what
 * is not given is reported as not shown. The proxy between client and service that most of them need can be any; the
 * clients should not repeat requests, or the checks take as long as their patience.
 */
export interface StoreFixtures {
  /** Its bucket does not exist. */
  readonly missingBucket?: OpenFixture | undefined
  /** Its credentials are wrong or expired. */
  readonly wrongCredentials?: OpenFixture | undefined
  /** Its credentials may read only. */
  readonly readOnlyCredentials?: OpenFixture | undefined
  /** Nobody listens where its service should be. */
  readonly outage?: OpenFixture | undefined
  /** The service answers every request with "slow down". */
  readonly throttled?: OpenFixture | undefined
  /** Every request is answered with 200 and the login page of a network. */
  readonly captivePortal?: OpenFixture | undefined
  /** The service takes requests and never answers. */
  readonly stalled?: OpenFixture | undefined
  /** The body of an object stops coming after at most 1 MiB, and the connection stays open. */
  readonly stalledDownloads?: OpenFixture | undefined
  /** The connection is reset while a body of more than 1 MiB is sent. */
  readonly cutUploads?: OpenFixture | undefined
  /** The connection is reset while a body of more than 1 MiB is received. */
  readonly cutDownloads?: OpenFixture | undefined
  /** A body of more than 1 MiB is shorter than the object, and the headers agree with that. */
  readonly shortDownloads?: OpenFixture | undefined
  /** One bit of a body of more than 1 MiB is wrong when the service gets it. */
  readonly damagedUploads?: OpenFixture | undefined
  /** One bit of a body of more than 1 MiB is wrong when the client gets it. */
  readonly damagedDownloads?: OpenFixture | undefined
  /** The clock of the client and that of the service differ by more than signatures allow. */
  readonly clockSkew?: OpenFixture | undefined
}

export type FixtureName = keyof StoreFixtures
