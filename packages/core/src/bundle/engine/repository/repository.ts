import { setTimeout as delay } from 'node:timers/promises'
import { WorkspaceError } from '../../../errors.ts'
import { assertObjectKey } from '../../../store/object-key.ts'
import type { ObjectStore } from '../../../store/object-store.ts'
import {
  createFormatMarker,
  decodeFormatMarker,
  encodeFormatMarker,
  openFormatMarker,
  type FormatMarker,
} from '../../format/format-marker.ts'
import type { RepositoryKeys } from '../../format/repository-keys.ts'
import { damageIn } from './damage.ts'
import { readObject } from './read-object.ts'
import { readTwice } from './read-twice.ts'
import { invertVersion, versionPath } from './version-number.ts'

/** Everything under one prefix of a store: the scope of one format marker and one set of keys. */
export interface Repository extends RepositoryLayout {
  readonly marker: FormatMarker
  /** `null` when the repository is not encrypted. */
  readonly keys: RepositoryKeys | null
  /** The local clock, in milliseconds since 1970. */
  readonly now: () => number
  /** Rejects with the signal's reason when it aborts. */
  readonly pause: (milliseconds: number, signal?: AbortSignal) => Promise<void>
}

/** Where in a store everything is. */
export interface RepositoryLayout {
  readonly store: ObjectStore
  /** Empty, or ends with `/`. */
  readonly prefix: string
  /** @param packId 32 hexadecimal digits */
  packKey(packId: string): string
  condemnedKey(packId: string): string
  /** Ends with `/`. */
  readonly repairsPrefix: string
  repairKey(packId: string, replacementId: string): string
  /** Ends with `/`. The newest version of the workspace lists first. */
  versionsPrefix(workspaceId: string): string
  versionKey(workspaceId: string, version: number): string
  /** Ends with `/`. In the order of the versions. */
  tagsPrefix(workspaceId: string): string
  tagKey(workspaceId: string, version: number, tag: string): string
  /** Ends with `/`. Used on stores that do not create atomically. In the order of the versions. */
  claimsPrefix(workspaceId: string): string
  claimKey(workspaceId: string, version: number, name: string): string
}

/** Who can read a repository besides the store's own access rules. The cipher is AES-256-GCM. */
export type RepositoryEncryption =
  /** 32 random bytes, kept by the caller. */
  | { readonly key: Uint8Array }
  /** Stretched with scrypt; its parameters and salt are in the repository's marker. */
  | { readonly passphrase: string }

export interface OpenRepositoryOptions {
  /** Where in the store the repository lives: one or more key segments. @default the top of the store */
  readonly prefix?: string | undefined
  /** @default none: not encrypted */
  readonly encryption?: RepositoryEncryption | undefined
  /** The local clock, in milliseconds since 1970. @default Date.now */
  readonly now?: (() => number) | undefined
  /** Must reject with the signal's reason when it aborts. @default a timer */
  readonly pause?: Repository['pause'] | undefined
  /** Taken for the repository, with its keys, when the store's marker turns out to be the same. @default none */
  readonly assumed?: Repository | null | undefined
  /** What to make when there is none, from `proposeRepository`; never what another store has. @default a new one */
  readonly proposed?: Repository | null | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

const MAX_MARKER_BYTES = 16_384
const MARKER_ATTEMPTS = 3

/**
 * Opens the repository of a store, and makes it when there is none. Two processes that make it at once agree on one
 * (on a store whose `createIfAbsent` is only `checked`: as long as they do not do so within the same moment).
 * @throws `UNSUPPORTED` when it was written by a newer version of this library, or the store cannot create an object only
 * if it is absent
 * @throws `ACCESS_DENIED` when the key or passphrase is not the repository's, before anything else is read or written
 * @throws `INVALID_INPUT` when it is encrypted and no key was given, or the other way round
 * @throws `CORRUPT` when its marker is damaged, or is not there beside versions: a new one could not read them
 */
export async function openRepository(
  store: ObjectStore,
  options: OpenRepositoryOptions = {},
): Promise<Repository> {
  const { signal } = options
  const prefix = normalizePrefix(options.prefix)
  const markerKey = `${prefix}format`
  let marker = await findMarker(store, prefix, signal)
  if (marker === null) {
    if (store.capabilities.createIfAbsent === false) throw cannotCreate(store)
    const created = options.proposed ?? (await createFormatMarker(options.encryption ?? null))
    marker = await putMarker(store, markerKey, created.marker, signal)
  }
  return openMarked(store, prefix, marker, options)
}

/**
 * The repository of a store, or `null` when there is none. Writes nothing.
 * @throws as {@link openRepository}
 */
export async function findRepository(
  store: ObjectStore,
  options: OpenRepositoryOptions = {},
): Promise<Repository | null> {
  const prefix = normalizePrefix(options.prefix)
  const marker = await findMarker(store, prefix, options.signal)
  return marker === null ? null : openMarked(store, prefix, marker, options)
}

/**
 * The repository that a store has if its marker is this one: something to begin with while the store is asked.
 * @throws as {@link openRepository} for the key
 */
export async function assumeRepository(
  store: ObjectStore,
  marker: FormatMarker,
  options: OpenRepositoryOptions,
): Promise<Repository> {
  return openMarked(store, normalizePrefix(options.prefix), marker, options)
}

/** What the store's repository will be if it has none: something to begin with. `null` when it would take time to make. */
export async function proposeRepository(
  store: ObjectStore,
  options: OpenRepositoryOptions,
): Promise<Repository | null> {
  if (options.encryption !== undefined) return null
  const { marker } = await createFormatMarker(null)
  return assumeRepository(store, marker, options)
}

async function openMarked(
  store: ObjectStore,
  prefix: string,
  marker: FormatMarker,
  { proposed = null, assumed = proposed, encryption, now, pause }: OpenRepositoryOptions,
): Promise<Repository> {
  if (assumed !== null && isSameMarker(assumed.marker, marker)) return assumed
  const keys = await openFormatMarker(marker, encryption ?? null)
  return { ...layOut(store, prefix), marker, keys, now: now ?? Date.now, pause: pause ?? waitFor }
}

async function waitFor(milliseconds: number, signal?: AbortSignal): Promise<void> {
  await delay(milliseconds, undefined, { signal }).catch(() => signal?.throwIfAborted())
}

/** Somebody has emptied the store since it was opened, and has made another repository in it. */
export class RepositoryReplaced extends WorkspaceError {}

/**
 * Puts the marker of an open repository back when it is gone: somebody has emptied the store since, and without its marker
 * nobody could read what is saved next.
 * @throws {@link RepositoryReplaced} for the marker of another one, whose keys are others
 */
export async function keepMarker(repository: Repository, signal: AbortSignal | undefined): Promise<void> {
  const { store, prefix, marker } = repository
  const key = `${prefix}format`
  const stored = (await readMarker(store, key, signal)) ?? (await putMarker(store, key, marker, signal))
  if (isSameMarker(stored, marker)) return
  throw new RepositoryReplaced(
    'CONFLICT',
    'The store was emptied and used anew by somebody else since it was opened. Nothing was stored; open it again.',
    { details: { key } },
  )
}

/** Whether the store holds another repository than the one that was opened. */
export async function isReplaced(
  { store, prefix, marker }: Repository,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  const stored = await readMarker(store, `${prefix}format`, signal)
  return stored !== null && !isSameMarker(stored, marker)
}

function isSameMarker(one: FormatMarker, other: FormatMarker): boolean {
  return encodeFormatMarker(one).equals(encodeFormatMarker(other))
}

/** What can be said without the marker. @throws `INVALID_INPUT` */
export function layOutRepository(store: ObjectStore, prefix?: string): RepositoryLayout {
  return layOut(store, normalizePrefix(prefix))
}

function layOut(store: ObjectStore, prefix: string): RepositoryLayout {
  const workspace = (id: string): string => `${prefix}workspaces/${id}/`
  return {
    store,
    prefix,
    packKey: (packId) => `${prefix}packs/${packId}`,
    condemnedKey: (packId) => `${prefix}condemned/${packId}`,
    repairsPrefix: `${prefix}repairs/`,
    repairKey: (packId, replacementId) => `${prefix}repairs/${packId}/${replacementId}`,
    versionsPrefix: (id) => `${workspace(id)}versions/`,
    versionKey: (id, version) => `${workspace(id)}versions/${versionPath(version)}`,
    tagsPrefix: (id) => `${workspace(id)}tags/`,
    tagKey: (id, version, tag) => `${workspace(id)}tags/${invertVersion(version)}/${tag}`,
    claimsPrefix: (id) => `${workspace(id)}claims/`,
    claimKey: (id, version, name) => `${workspace(id)}claims/${invertVersion(version)}/${name}`,
  }
}

/** Whether an object below `packs/` is a pack by its name. Others were put there by somebody else, and are left alone. */
export function isPackId(name: string): boolean {
  return /^[0-9a-f]{32}$/.test(name)
}

async function findMarker(
  store: ObjectStore,
  prefix: string,
  signal: AbortSignal | undefined,
): Promise<FormatMarker | null> {
  const key = `${prefix}format`
  const marker = await readMarker(store, key, signal)
  if (marker !== null) return marker
  for await (const _object of store.list(`${prefix}workspaces/`, { signal })) {
    // Somebody else may have made the repository, and saved to it, since the marker was looked for.
    const later = await readMarker(store, key, signal)
    if (later !== null) return later
    throw new WorkspaceError(
      'CORRUPT',
      `The format marker of the repository is not there, though workspaces are. Put the object ${key} back from a copy of the store: without it nothing can be read.`,
      { details: { key } },
    )
  }
  return null
}

async function readMarker(
  store: ObjectStore,
  key: string,
  signal: AbortSignal | undefined,
): Promise<FormatMarker | null> {
  try {
    return await readTwice(async () => {
      const found = await readObject(store, key, MAX_MARKER_BYTES, signal)
      return found === null ? null : decodeFormatMarker(found.bytes)
    })
  } catch (error) {
    throw damageIn(key, error)
  }
}

/**
 * Whoever was first: what is read back afterwards is the repository's marker. An answer that leaves open whether the marker
 * was put is settled by reading, and where nothing is there, by another attempt.
 */
async function putMarker(
  store: ObjectStore,
  key: string,
  marker: FormatMarker,
  signal: AbortSignal | undefined,
): Promise<FormatMarker> {
  const bytes = encodeFormatMarker(marker)
  for (let attempt = 1; ; attempt += 1) {
    try {
      await store.put(key, bytes, { ifAbsent: true, contentType: 'application/json', signal })
      if (store.capabilities.createIfAbsent === 'atomic') return marker
      return (await readMarker(store, key, signal)) ?? marker
    } catch (error) {
      if (!WorkspaceError.is(error) || !(error.code === 'CONFLICT' || error.retryable)) throw error
      const stored = await readMarker(store, key, signal)
      if (stored !== null) return stored
      if (!error.retryable || attempt === MARKER_ATTEMPTS) throw error
    }
  }
}

function normalizePrefix(prefix = ''): string {
  if (prefix === '') return ''
  const folder = prefix.endsWith('/') ? prefix.slice(0, -1) : prefix
  assertObjectKey(folder)
  return `${folder}/`
}

function cannotCreate(store: ObjectStore): WorkspaceError {
  return new WorkspaceError(
    'UNSUPPORTED',
    `The store ${store.name} cannot keep versions: it cannot create an object only if it is absent. Use another store.`,
    { details: { store: store.name } },
  )
}
