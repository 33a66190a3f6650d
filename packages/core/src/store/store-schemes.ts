import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WorkspaceError } from '../errors.ts'
import { isBucketName, isServiceUrl, isStorePrefix } from './store-options.ts'

/** How a scheme's URLs are written, and what opens them. */
export interface StoreScheme {
  readonly example: string
  readonly packageName: string
  /** The function that the package exports. */
  readonly factory: string
  /** What the factory is called with, from what follows the scheme. @throws `INVALID_INPUT` */
  readonly options: (rest: string) => object
}

export const storeSchemes: Readonly<Record<string, StoreScheme>> = {
  memory: {
    example: 'memory:',
    packageName: '@ws/store-memory',
    factory: 'memoryStore',
    options: memoryOptions,
  },
  file: {
    example: 'file:///absolute/path or file:relative/path',
    packageName: '@ws/store-local',
    factory: 'localStore',
    options: fileOptions,
  },
  s3: {
    example: 's3://bucket/prefix?region=&endpoint=',
    packageName: '@ws/store-s3',
    factory: 's3Store',
    options: (rest) => {
      const { bucket, prefix, parameters } = readBucketUrl('s3', rest, ['region', 'endpoint', 'conditions'])
      const { region, endpoint, conditions } = parameters
      if (conditions !== undefined && conditions !== 'enforced' && conditions !== 'unknown')
        throw invalid('In an s3: URL, conditions is "enforced" or "unknown".', 's3')
      // Repeating is the work of the wrapper.
      return { bucket, ...prefix, ...(conditions === undefined ? {} : { conditions }), client: { ...given({ region, endpoint }), maxAttempts: 1 } } // prettier-ignore
    },
  },
  gs: {
    example: 'gs://bucket/prefix',
    packageName: '@ws/store-gcs',
    factory: 'openGcsStore',
    options: (rest) => {
      const { bucket, prefix } = readBucketUrl('gs', rest, [])
      return { bucket, ...prefix }
    },
  },
  supabase: {
    example: 'supabase://bucket/prefix?url=',
    packageName: '@ws/store-supabase',
    factory: 'openSupabaseStore',
    options: (rest) => {
      const { bucket, prefix, parameters } = readBucketUrl('supabase', rest, ['url'])
      return { bucket, ...prefix, ...given({ url: parameters['url'] }) }
    },
  },
  azure: {
    example: 'azure://container/prefix?account=&endpoint=',
    packageName: '@ws/store-azure',
    factory: 'openAzureStore',
    options: (rest) => {
      const { bucket, prefix, parameters } = readBucketUrl('azure', rest, ['account', 'endpoint'])
      const { account, endpoint } = parameters
      return { container: bucket, ...prefix, ...given({ account, endpoint }) }
    },
  },
}

export function invalid(message: string, scheme?: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', message, {
    ...(cause === undefined ? {} : { cause }),
    details: scheme === undefined ? {} : { scheme },
  })
}

function memoryOptions(rest: string): object {
  if (rest !== '' && rest !== '//') throw invalid('Write memory: with nothing after it.', 'memory')
  return {}
}

function fileOptions(rest: string): object {
  const { example } = schemeOf('file')
  if (/[?#]/.test(rest))
    throw invalid('A file: URL has no query and no fragment. Write "?" as %3F and "#" as %23.', 'file')
  let root: string
  try {
    root = rest.startsWith('//') ? fileURLToPath(`file:${rest}`) : decodeURIComponent(rest)
  } catch (error) {
    throw invalid(`The file: URL is not valid. Write ${example}.`, 'file', error)
  }
  if (/^~(\/|$)/.test(root))
    throw invalid('A file: URL has no "~": write the path of the home directory.', 'file')
  if (root === '' || root.includes('\0') || resolve(root) === resolve(root, '..'))
    throw invalid(`The file: URL names no directory. Write ${example}.`, 'file')
  return { root: resolve(root) }
}

interface BucketUrl<Name extends string> {
  readonly bucket: string
  readonly prefix: { readonly prefix?: string }
  readonly parameters: { readonly [Parameter in Name]?: string }
}

/** `//bucket/prefix?name=value`. No message repeats a value: it may be a secret in the wrong place. */
function readBucketUrl<Name extends string>(
  scheme: string,
  rest: string,
  names: readonly Name[],
): BucketUrl<Name> {
  const match = /^\/\/([^/?#]*)([^?#]*)(?:\?([^#]*))?$/.exec(rest)
  if (match === null)
    throw invalid(`The ${scheme}: URL is not valid. Write ${schemeOf(scheme).example}.`, scheme)
  const [, bucket = '', path = '', query = ''] = match
  if (bucket === '')
    throw invalid(`The ${scheme}: URL names no bucket. Write ${schemeOf(scheme).example}.`, scheme)
  const name = decode(scheme, bucket)
  if (isAddress(name)) throw addressForBucket(scheme, names)
  if (isBucketName(name) !== null)
    throw invalid(`The ${scheme}: URL names no bucket: its name has a "/", or is a part of a path.`, scheme)
  const prefix = decode(scheme, path).replace(/^\//, '').replace(/\/$/, '')
  if (isStorePrefix(prefix) !== null)
    throw invalid(`In the ${scheme}: URL, the prefix must be ${isStorePrefix('/')}.`, scheme)
  return {
    bucket: name,
    prefix: prefix === '' ? {} : { prefix },
    parameters: readParameters(scheme, query, names),
  }
}

/** A host with a port, an IP address, or the scheme of another URL: no service has such a bucket. */
function isAddress(name: string): boolean {
  return /^[^:]*:\d*$|^\[|^(?:\d{1,3}\.){3}\d{1,3}$/.test(name)
}

function addressForBucket(scheme: string, names: readonly string[]): WorkspaceError {
  const parameter = ['endpoint', 'url'].find((name) => names.includes(name))
  const advice =
    parameter === undefined
      ? `Write ${schemeOf(scheme).example}.`
      : `The address goes behind it: ${scheme}://bucket/prefix?${parameter}=http://host:9000.`
  return invalid(`In the ${scheme}: URL, an address stands where the bucket belongs. ${advice}`, scheme)
}

function readParameters<Name extends string>(
  scheme: string,
  query: string,
  names: readonly Name[],
): { readonly [Parameter in Name]?: string } {
  const parameters: { [Parameter in Name]?: string } = {}
  for (const [name, value] of new URLSearchParams(query)) {
    const known = names.find((each) => each === name)
    if (known === undefined) throw unknownParameter(scheme, name, names)
    if (value === '')
      throw invalid(`In the ${scheme}: URL, ${known} is empty. Leave it out or fill it in.`, scheme)
    if (parameters[known] !== undefined)
      throw invalid(`In the ${scheme}: URL, ${known} stands twice. Leave one of them out.`, scheme)
    if (known === 'region' && !/^[a-z0-9-]{1,40}$/i.test(value))
      throw invalid('In the s3: URL, region is no name of a region, such as eu-central-1.', scheme)
    if (known === 'account' && !/^[a-z0-9-]{1,63}$/i.test(value))
      throw invalid('In the azure: URL, account is no name of a storage account.', scheme)
    if (known === 'endpoint' || known === 'url') assertEndpoint(scheme, known, value)
    parameters[known] = value
  }
  return parameters
}

function unknownParameter(scheme: string, name: string, names: readonly string[]): WorkspaceError {
  const shown = /^[A-Za-z-]{1,30}$/.test(name) ? ` ${name}` : ''
  const isSecret = /key|secret|token|password|sig|credential/i.test(name)
  const advice = isSecret
    ? `Credentials never go into the URL: set the environment variables of the service's SDK.`
    : names.length === 0
      ? 'It has none.'
      : `It has ${names.join(', ')}.`
  return invalid(`The ${scheme}: URL has no parameter${shown}. ${advice}`, scheme)
}

function assertEndpoint(scheme: string, name: string, value: string): void {
  const wanted = isServiceUrl(value)
  if (wanted !== null) throw invalid(`In the ${scheme}: URL, ${name} must be ${wanted}.`, scheme)
}

function decode(scheme: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch (error) {
    throw invalid(`The ${scheme}: URL is not valid: write "%" as %25.`, scheme, error)
  }
}

function given<T extends Readonly<Record<string, string | undefined>>>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>
}

function schemeOf(name: string): StoreScheme {
  const scheme = storeSchemes[name]
  if (scheme === undefined) throw new TypeError(`There is no scheme ${name}.`)
  return scheme
}
