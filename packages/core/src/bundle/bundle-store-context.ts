import { WorkspaceError } from '../errors.ts'
import { isDate } from '../option-checks.ts'
import type { ObjectStore } from '../store/object-store.ts'
import { reliableIfRemote, type ReliableStoreOptions } from '../store/reliable-store.ts'
import type { VersionDetails, WorkspaceVersion } from './bundle-store.ts'
import { readLastVersion, writeLastVersion, type LastVersion } from './engine/repository/last-version-file.ts'
import {
  assertVersionNumber,
  findLatestVersion,
  findVersion,
  recallRecord,
  rememberRecord,
} from './engine/repository/list-versions.ts'
import {
  keepMarker,
  layOutRepository,
  type Repository,
  type RepositoryEncryption,
} from './engine/repository/repository.ts'
import { saveOnGuess } from './engine/save/save-on-guess.ts'
import { saveVersion, type SavedVersion, type SaveVersionOptions } from './engine/save/save-version.ts'
import { assertTag, effectiveTags, listTagChanges, type TagChanges } from './engine/repository/tags.ts'
import type { VersionRecord } from './format/version-record.ts'
import { keepOpened, type OpenedRepository } from './opened-repository.ts'
import { versionTexts } from './version-texts.ts'
import { assertWorkspaceId } from './workspace-id.ts'

export interface BundleStoreOptions {
  /** Where in the store the versions are kept: one or more key segments. @default the top of the store */
  readonly prefix?: string | undefined
  /** Encrypts everything that is stored; names, contents and sizes of files cannot be read from the store. @default none */
  readonly encryption?: RepositoryEncryption | undefined
  /**
   * Repetitions, timeouts and the limit of calls for a store that is `remote`; `false` leaves all that to the caller.
   * @default those of `reliableStore`
   */
  readonly reliability?: ReliableStoreOptions | false | undefined
  /** Gives the time that versions are stamped with. @default the system's clock */
  readonly clock?: (() => Date) | undefined
}

/** What the methods of a bundle store work with. */
export interface BundleStoreContext extends Pick<OpenedRepository, 'inCurrent' | 'listInCurrent'> {
  /** `null` for a store that nothing was saved to; writes nothing. */
  readonly find: (signal: AbortSignal | undefined) => Promise<Repository | null>
  /** `null` when there is no such version. @throws `INVALID_INPUT` */
  readonly findRecord: (
    id: string,
    version: number | undefined,
    signal: AbortSignal | undefined,
  ) => Promise<{ readonly repository: Repository; readonly record: VersionRecord } | null>
  /** Makes the repository when there is none, and the content a version of it. */
  readonly commit: (
    id: string,
    details: VersionDetails & { readonly cacheDirectory?: string | null | undefined },
    writeTree: SaveVersionOptions['writeTree'],
  ) => Promise<SavedVersion>
  readonly describeWithTags: (
    repository: Repository,
    record: VersionRecord,
    signal: AbortSignal | undefined,
  ) => Promise<WorkspaceVersion>
  /** The time for a new version. */
  readonly stamp: () => string
}

export function createContext(given: ObjectStore, options: BundleStoreOptions): BundleStoreContext {
  const store = reliableIfRemote(given, options.reliability)
  const { prefix, encryption, clock = () => new Date() } = options
  const stamp = (): string => timeText(clock())
  const opened = keepOpened(store, { prefix, encryption })
  const { find, open, assume, propose, inCurrent, listInCurrent } = opened
  const commitOnce: BundleStoreContext['commit'] = async (id, details, write) => {
    const known = opened.current()
    const writeTree: typeof write = async (parent, repository, signal) => {
      const keeping = parent === null && known !== null ? keepMarker(repository, signal) : undefined
      // Nothing may be put any more when this fails.
      keeping?.catch(() => undefined)
      const tree = await write(parent, repository, signal)
      await keeping
      return tree
    }
    const { tags = [], cacheDirectory = null } = details
    const { message, author, metadata } = versionTexts(details)
    for (const tag of tags) assertTag(tag)
    const { parent, onConflict, template, signal } = details
    const save = { workspaceId: id, message, author, metadata, tags, parent, onConflict, template, createdAt: stamp, writeTree, signal } // prettier-ignore
    if (cacheDirectory === null) return saveVersion(await open(signal), save)
    const last = lastVersionOf(cacheDirectory, id)
    const proposed = opened.current() === null && last === null ? await propose() : null
    const assumed = opened.current() ?? proposed ?? (last === null ? null : await assume(last.marker))
    let opening: Promise<Repository> | null = null
    const openOnce = (): Promise<Repository> => (opening ??= open(signal, { assumed, proposed }))
    const begun = await saveFromNote(assumed ?? (await openOnce()), openOnce, save, last)
    const repository = await openOnce()
    const isAnother = assumed !== null && repository !== assumed
    const begunAgain =
      begun === null && isAnother ? await saveFromNote(repository, openOnce, save, last) : begun
    const saved = begunAgain ?? (await saveVersion(repository, save))
    noteVersion(cacheDirectory, repository, saved.record)
    return saved
  }
  const commit: BundleStoreContext['commit'] = (id, details, write) =>
    inCurrent(details.signal, () => commitOnce(id, details, write))
  const findRecordOnce: BundleStoreContext['findRecord'] = async (id, version, signal) => {
    // What lists first is the latest version whatever the marker says, so both are asked for at once.
    const looking =
      opened.current() === null && version === undefined
        ? findLatestVersion(layOutRepository(store, prefix), id, signal)
        : Promise.resolve(undefined)
    looking.catch(() => undefined)
    const repository = await find(signal)
    if (repository === null) return null
    const record = await findVersion(repository, id, version, signal, await looking)
    return record === null ? null : { repository, record }
  }
  const findRecord: BundleStoreContext['findRecord'] = async (id, version, signal) => {
    assertWorkspaceId(id)
    if (version !== undefined) assertVersionNumber(version)
    return inCurrent(signal, () => findRecordOnce(id, version, signal))
  }
  const describeWithTags = async (
    repository: Repository,
    record: VersionRecord,
    signal: AbortSignal | undefined,
  ): Promise<WorkspaceVersion> => {
    const { workspaceId, version } = record
    const changes = await listTagChanges(repository, workspaceId, { version, signal })
    return describeVersion(record, changes.get(version))
  }
  return { find, inCurrent, listInCurrent, findRecord, commit, describeWithTags, stamp }
}

/** @throws `INVALID_INPUT` for a time that a record cannot hold */
function timeText(time: Date): string {
  const text = isDate(time) === null ? time.toISOString() : ''
  if (/^\d{4}-/.test(text)) return text
  throw new WorkspaceError(
    'INVALID_INPUT',
    'The clock of createBundleStore must give a Date from the year 0 to 9999. Nothing was saved.',
    { details: { option: 'clock' } },
  )
}

/** `null` when what is known turns out to be wrong. */
async function saveFromNote(
  repository: Repository,
  open: () => Promise<Repository>,
  save: SaveVersionOptions,
  last: LastVersion | null,
): Promise<SavedVersion | null> {
  const known = last?.marker.repository === repository.marker.repository ? last : null
  const parent = known?.record ?? null
  if (save.parent !== undefined && save.parent !== (parent?.version ?? 0)) return null
  if (known !== null) rememberRecord(repository, known.record, known.etag)
  return saveOnGuess(repository, save, { parent, open })
}

function lastVersionOf(cacheDirectory: string, id: string): LastVersion | null {
  const last = readLastVersion(cacheDirectory)
  return last?.record.workspaceId === id ? last : null
}

/** For the next save of the directory, which begins with it. */
export function noteVersion(cacheDirectory: string, repository: Repository, record: VersionRecord): void {
  const observed = recallRecord(repository, record)
  if (observed !== null) writeLastVersion(cacheDirectory, { marker: repository.marker, ...observed })
}

export function describeVersion(record: VersionRecord, changes?: TagChanges): WorkspaceVersion {
  const { workspaceId, version, parent, message, author, metadata, template, createdAt, stats } = record
  const isFork = parent !== null && parent.workspaceId !== workspaceId
  return {
    workspaceId,
    version,
    parent: parent === null || isFork ? null : parent.version,
    forkedFrom: isFork ? parent : null,
    message,
    author,
    metadata,
    tags: effectiveTags(record, changes),
    template,
    createdAt,
    ...stats,
    entries: stats.files + stats.directories + stats.symlinks,
    storedBytes: record.packs.reduce((sum, { bytes }) => sum + bytes, 0),
  }
}
