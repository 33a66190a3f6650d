import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import { fromEnvironment, type OptionCheck } from '@ws/core'

const CONNECTION_TIMEOUT_MS = 10_000
/** No byte in either direction for so long is a failure; the SDK itself would wait for ever. */
const IDLE_TIMEOUT_MS = 60_000

const silence = { debug() {}, info() {}, warn() {}, error() {} }

/** Services that are known to keep conditions on puts, by the host that requests go to. */
const enforcingHosts = /(?:^|\.)(?:amazonaws\.com|amazonaws\.com\.cn|r2\.cloudflarestorage\.com)$/

/** Not `instanceof`: the client may come from another installed copy of the SDK. Of other services' clients each says which it is. */
export const isClientOrConfig: OptionCheck = (value) => {
  const wanted = 'an S3Client, or the options to make one with'
  if (typeof value !== 'object' || value === null) return wanted
  if (!('send' in value)) return isPlain(value) ? null : wanted
  const { config } = value as { readonly config?: { readonly serviceId?: unknown } }
  const isS3 = typeof config === 'object' && (config.serviceId ?? 'S3') === 'S3'
  return isS3 && typeof value.send === 'function' ? null : wanted
}

/** The caller's client as it is, or a new one with timeouts, and with what services other than AWS need. */
export function openClient(given: S3Client | S3ClientConfig | undefined): S3Client {
  if (given !== undefined && isClient(given)) return given
  const config: S3ClientConfig = { ...given }
  // Else the SDK prints warnings about failures that the caller is told of anyway.
  config.logger ??= silence
  config.requestHandler ??= {
    connectionTimeout: CONNECTION_TIMEOUT_MS,
    socketTimeout: IDLE_TIMEOUT_MS,
  }
  if (config.endpoint !== undefined || endpointVariable() !== undefined) {
    // Bucket names as host names need DNS of their own; and some servers never answer `Expect: 100-continue`.
    config.forcePathStyle ??= true
    config.expectContinueHeader ??= false
  }
  return new S3Client(config)
}

/** Whether requests surely go to a service that keeps conditions on puts. A client keeps its endpoint to itself. */
export function isKnownToEnforce(given: S3Client | S3ClientConfig | undefined): boolean {
  const endpoint =
    given === undefined || !isClient(given) ? given?.endpoint : (given.config.endpoint ?? undefined)
  if (endpoint === undefined) return endpointVariable() === undefined
  if (typeof endpoint !== 'string') return false
  return URL.canParse(endpoint) && enforcingHosts.test(new URL(endpoint).hostname)
}

/**
 * Whether the endpoint names the bucket already, as the address that a provider's page shows for a bucket does. Every
 * key would then lie in a folder of the bucket's name, where nobody else looks for it.
 */
export function holdsBucket(given: S3Client | S3ClientConfig | undefined, bucket: string): boolean {
  if (given !== undefined && isClient(given)) return false
  const endpoint = given?.endpoint ?? endpointVariable()
  if (typeof endpoint !== 'string' || !URL.canParse(endpoint)) return false
  const { hostname, pathname } = new URL(endpoint)
  return (
    pathname.split('/').findLast((segment) => segment !== '') === bucket ||
    (hostname.startsWith(`${bucket}.s3`) && enforcingHosts.test(hostname))
  )
}

/** Where the SDK looks for an endpoint as well. */
function endpointVariable(): string | undefined {
  return fromEnvironment('AWS_ENDPOINT_URL_S3', 'AWS_ENDPOINT_URL')
}

function isClient(given: S3Client | S3ClientConfig): given is S3Client {
  return 'send' in given && typeof given.send === 'function'
}

/** Also one of another realm, and one without a prototype. */
function isPlain(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}
