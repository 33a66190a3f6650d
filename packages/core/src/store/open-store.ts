import { resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { WorkspaceError } from '../errors.ts'
import type { ObjectStore } from './object-store.ts'

export interface OpenStoreOptions {
  /**
   * Loads an adapter package by its name. Give `(name) => import(name)` where the installation lets a package see only
   * its own dependencies (Yarn Plug'n'Play, pnpm without hoisting).
   * @default import() as seen from this package
   */
  readonly load?: ((packageName: string) => Promise<unknown>) | undefined
}

interface Scheme {
  readonly example: string
  /** `null` while no adapter of this scheme exists. */
  readonly packageName: string | null
  /** The function that the package exports, and what it is called with. @throws `INVALID_INPUT` */
  readonly factory?: string
  readonly options?: (rest: string) => object
}

const schemes: Readonly<Record<string, Scheme>> = {
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
  s3: { example: 's3://bucket/prefix', packageName: null },
  gs: { example: 'gs://bucket/prefix', packageName: null },
  supabase: { example: 'supabase://bucket/prefix', packageName: null },
  azure: { example: 'azure://container/prefix', packageName: null },
}

/**
 * Opens the store that a URL names, loading its adapter package on demand:
 * `memory:` (a new, empty one each time), `file:///absolute/path`, `file:relative/path` (to the working directory).
 *
 * A URL with credentials is refused, and no message repeats any part of the URL but its scheme.
 *
 * @throws `INVALID_INPUT` for an unknown scheme, credentials, or a missing bucket or path
 * @throws `UNSUPPORTED` when the adapter does not exist yet, or its package is not installed
 */
export async function openStore(url: string, options: OpenStoreOptions = {}): Promise<ObjectStore> {
  const name = /^([a-z][a-z0-9+.-]*):/i.exec(url)?.[1]?.toLowerCase()
  if (name === undefined) throw invalid(`This is not a store URL. ${whatExists()}`)
  const scheme = Object.hasOwn(schemes, name) ? schemes[name] : undefined
  if (scheme === undefined) throw invalid(`There is no store for ${name}: URLs. ${whatExists()}`, name)
  const rest = url.slice(name.length + 1)
  if (/^\/\/[^/?#]*@/.test(rest))
    throw invalid(`A ${name}: URL must not hold credentials. Give them to the adapter's client.`, name)
  const { packageName, factory, options: readOptions } = scheme
  if (packageName === null || factory === undefined || readOptions === undefined) {
    if (!/^\/\/[^/?#]/.test(rest))
      throw invalid(`The ${name}: URL names no bucket. Write ${scheme.example}.`, name)
    const message = `${name}: stores cannot be opened by URL yet. ${whatExists()}`
    throw new WorkspaceError('UNSUPPORTED', message, { details: { scheme: name } })
  }
  const factoryOptions = readOptions(rest)
  const module = await loadAdapter(name, packageName, options)
  const create = (module as Record<string, unknown>)[factory]
  if (typeof create !== 'function')
    throw new WorkspaceError(
      'UNSUPPORTED',
      `The installed ${packageName} has no ${factory}. Install the version that belongs to this @ws/core.`,
      { details: { scheme: name, package: packageName } },
    )
  return (create as (given: object) => ObjectStore)(factoryOptions)
}

async function loadAdapter(scheme: string, packageName: string, options: OpenStoreOptions): Promise<unknown> {
  const { load = (specifier: string): Promise<unknown> => import(/* @vite-ignore */ specifier) } = options
  try {
    return await load(packageName)
  } catch (error) {
    const message = isMissing(error, packageName)
      ? `Cannot open ${scheme}: stores: install ${packageName} to use them.`
      : `Cannot open ${scheme}: stores: loading ${packageName} failed.`
    throw new WorkspaceError('UNSUPPORTED', message, {
      cause: error,
      details: { scheme, package: packageName },
    })
  }
}

function isMissing(error: unknown, packageName: string): boolean {
  if (!(error instanceof Error) || !('code' in error)) return false
  const isResolution = error.code === 'ERR_MODULE_NOT_FOUND' || error.code === 'MODULE_NOT_FOUND'
  return isResolution && error.message.includes(packageName)
}

function memoryOptions(rest: string): object {
  if (rest !== '' && rest !== '//') throw invalid('Write memory: with nothing after it.', 'memory')
  return {}
}

function fileOptions(rest: string): object {
  if (/[?#]/.test(rest))
    throw invalid('A file: URL has no query and no fragment. Write "?" as %3F and "#" as %23.', 'file')
  let root: string
  try {
    root = rest.startsWith('//') ? fileURLToPath(`file:${rest}`) : decodeURIComponent(rest)
  } catch (error) {
    throw invalid(`The file: URL is not valid. Write ${schemes['file']?.example}.`, 'file', error)
  }
  if (root === '' || root.includes('\0') || resolve(root) === resolve(root, '..'))
    throw invalid(`The file: URL names no directory. Write ${schemes['file']?.example}.`, 'file')
  return { root: resolve(root) }
}

function whatExists(): string {
  const existing = Object.values(schemes).filter((scheme) => scheme.packageName !== null)
  return `These exist: ${existing.map((scheme) => scheme.example).join(', ')}.`
}

function invalid(message: string, scheme?: string, cause?: unknown): WorkspaceError {
  return new WorkspaceError('INVALID_INPUT', message, {
    ...(cause === undefined ? {} : { cause }),
    details: scheme === undefined ? {} : { scheme },
  })
}
