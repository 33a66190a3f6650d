import type { VersionRecord } from '../../format/version-record.ts'
import { isCommitUnclear } from '../repository/commit-version.ts'
import { earlyClaim } from '../repository/early-claim.ts'
import { readNumber } from '../repository/list-versions.ts'
import { leasePacks } from '../repository/pack-safety.ts'
import type { Repository } from '../repository/repository.ts'
import {
  commitTree,
  refuseTemplate,
  sightLatest,
  type SavedVersion,
  type SaveVersionOptions,
  type Sighting,
} from './save-version.ts'

/** What a save may begin with before the store has answered. */
export interface ParentGuess {
  readonly parent: VersionRecord | null
  /** Opens the repository as the store has it; gives the same object when it is the one that the save was begun with. */
  readonly open: () => Promise<Repository>
}

/**
 * As `saveVersion`, but the directory is read while the store is asked for its latest version. Nothing is put before the
 * answer is there and says that the guess was right. On a store that creates `checked` a save that knows its parent asks
 * when its last pack goes up, for there it has to look then anyway.
 * @returns `null` when it was wrong, or packs had been removed: nothing has been saved
 */
export async function saveOnGuess(
  repository: Repository,
  options: SaveVersionOptions,
  { parent: base, open }: ParentGuess,
): Promise<SavedVersion | null> {
  const { workspaceId, writeTree, signal } = options
  const seen = (): Promise<Sighting> => sightLatest(repository, workspaceId, signal)
  const stop = new AbortController()
  let looking: Promise<Sighting> | null = null
  const look = (): Promise<Sighting> => {
    if (looking !== null) return looking
    const opened = open()
    looking = lookForGuessed(seen(), opened, repository, base)
    looking.catch((error: unknown) => stop.abort(error))
    return looking
  }
  const looksLate = base !== null && repository.store.capabilities.createIfAbsent === 'checked'
  const version = (base?.version ?? 0) + 1
  const lookForRecord = looksLate
    ? async () => (await look(), null)
    : () => readNumber(repository, workspaceId, version, signal)
  const claim = earlyClaim(repository, { workspaceId, version }, lookForRecord, signal)
  const mayPut = looksLate ? undefined : look()
  const lease = leasePacks(repository, { mayPut, onLastPack: () => claim.make() })
  try {
    const reading = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal])
    const tree = await writeTree(base, lease.repository, reading)
    claim.make()
    const parent = await look()
    const { record } = await commitTree(repository, { options, parent, base, tree, lease, seen, claim })
    if (record !== null) return { record, tree, base }
    await lease.discard()
    return null
  } catch (error) {
    if (!isCommitUnclear(error)) await lease.discard()
    // What could not be read may be gone with the version that was taken for the latest.
    if (signal?.aborted !== true) await look().catch(() => undefined)
    if (stop.signal.reason instanceof WrongGuess) return null
    throw error
  } finally {
    await claim.drop()
  }
}

class WrongGuess extends Error {}

/** @throws {@link WrongGuess} */
async function lookForGuessed(
  sighting: Promise<Sighting>,
  opened: Promise<Repository>,
  repository: Repository,
  base: VersionRecord | null,
): Promise<Sighting> {
  sighting.catch(() => undefined)
  // What was seen means something only in the repository that it was looked for in.
  if ((await opened) !== repository) throw new WrongGuess('another repository')
  const latest = await sighting
  if (latest.record?.nonce !== base?.nonce) throw new WrongGuess('another latest version')
  refuseTemplate(latest.record)
  return latest
}
