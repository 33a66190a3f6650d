import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { WorkspaceError } from '../errors.ts'
import { isFunction, isObject } from '../option-checks.ts'
import type { ObjectStore } from './object-store.ts'
import { reliableStore, type ReliableStoreOptions } from './reliable-store.ts'
import { invalid, storeSchemes } from './store-schemes.ts'

export interface OpenStoreOptions {
  /**
   * Loads an adapter package by its name. Give `(name) => import(name)` where the installation lets a package see only
   * its own dependencies (Yarn Plug'n'Play, pnpm without hoisting).
   * @default import() as seen from this package
   */
  readonly load?: ((packageName: string) => Promise<unknown>) | undefined
  /** Repetitions, timeouts and the limit of calls for stores on a network. @default those of `reliableStore` */
  readonly reliability?: ReliableStoreOptions | undefined
}

const openStoreOptionNames: OptionNames<OpenStoreOptions> = { load: isFunction, reliability: isObject }

/**
 * Opens the store that a URL names, loading its adapter package on demand. Nothing is sent before the store is used.
 *
 * - `memory:` a new, empty one each time
 * - `file:///absolute/path`, `file:relative/path` (to the working directory)
 * - `s3://bucket/prefix?region=&endpoint=` also R2, MinIO, Ceph; credentials as the AWS SDK finds them
 * - `gs://bucket/prefix` credentials as Google's SDK finds them
 * - `azure://container/prefix?account=&endpoint=` credentials from `AZURE_STORAGE_*` or Entra ID
 * - `supabase://bucket/prefix?url=` the project from `url` or `SUPABASE_URL`, the key from the environment
 *
 * Stores on a network come as a `reliableStore`, with the SDK's own repetitions turned off. Prefixes are
 * percent-decoded. A URL with credentials is refused, and no message repeats any value of the URL.
 *
 * @throws `INVALID_INPUT` for an unknown scheme or parameter, credentials, or a missing bucket or path
 * @throws `UNSUPPORTED` when the adapter's package or its SDK is not installed
 */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<ObjectStore> {
  assertKnownOptions('openStore', options, openStoreOptionNames)
  if (typeof url !== 'string')
    throw invalid(`A store URL is a text, not of type ${typeof url}. ${whatExists()}`)
  const name = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (name === undefined) throw invalid(`This is not a store URL. ${whatExists()}`)
  const scheme = Object.hasOwn(storeSchemes, name) ? storeSchemes[name] : undefined
  if (scheme === undefined) throw invalid(`There is no store for ${name}: URLs. ${whatExists()}`, name)
  const rest = url.slice(name.length + 1)
  if (/^\/\/[^/?#]*@/.test(rest))
    throw invalid(`The ${name}: URL must not hold credentials. Set them in the environment.`, name)
  const { packageName, factory } = scheme
  const factoryOptions = scheme.options(rest)
  const { load = (specifier: string): Promise<unknown> => import(/* @vite-ignore */ specifier) } = options
  let module: unknown
  try {
    module = await load(packageName)
  } catch (error) {
    throw notLoaded(name, packageName, error)
  }
  const create = (module as Record<string, unknown>)[factory]
  if (typeof create !== 'function')
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The installed ${packageName} has no ${factory}. Install the version that belongs to this @ws/core.`,
      { details: { scheme: name, package: packageName } },
    )
  try {
    const store = await (create as (given: object) => ObjectStore | Promise<ObjectStore>)(factoryOptions)
    return store.capabilities.remote === true ? reliableStore(store, options.reliability) : store
  } catch (error) {
    // Some adapters load their SDK only when they make a client.
    throw missingPackage(error) === null ? error : notLoaded(name, packageName, error)
  }
}

function notLoaded(scheme: string, packageName: string, error: unknown): WorkspaceError {
  const missing = missingPackage(error)
  const message =
    missing === null
      ? `Cannot open ${scheme}: stores: loading ${packageName} failed.`
      : `Cannot open ${scheme}: stores: ${missing}${missing === packageName ? '' : `, which ${packageName} needs,`} was not found. Install it: npm install ${missing}. Where it is installed and @ws/core does not see it, pass load: (name) => import(name).`
  return new WorkspaceError('UNSUPPORTED', message, {
    cause: error,
    details: { scheme, package: missing ?? packageName },
  })
}

/** The package that could not be found: the adapter, or the SDK beside it. */
function missingPackage(error: unknown): string | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  if (error.code !== 'ERR_MODULE_NOT_FOUND' && error.code !== 'MODULE_NOT_FOUND') return null
  return /(?:package|module) '((?:@[\w.-]+\/)?[\w.-]+)/.exec(error.message)?.[1] ?? null
}

function whatExists(): string {
  return `These exist: ${Object.values(storeSchemes)
    .map((scheme) => scheme.example)
    .join(', ')}.`
}
