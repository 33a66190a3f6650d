import { constants, copyFileSync, linkSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import { runGit } from './git-command.ts'
import { noteAdopted } from './adopted-objects.ts'
import { noteLender } from './lenders.ts'
import { listNames, openOwnObjects, type OwnObjects } from './own-objects.ts'
import { objectSizes } from './object-sizes.ts'
import {
  alternateEnvironment,
  DISTRUSTED,
  privateCall,
  type PrivateRepository,
} from './private-repository.ts'

/** Objects that somebody needs. Their ids are told where they have to be: mostly a pack has all of them. */
export interface WantedObjects {
  /** Those that are among some ids. */
  readonly among: (ids: ReadonlySet<string>) => Iterable<string>
  readonly missingIn: (own: OwnObjects) => Set<string>
}

interface LinkedObjects {
  readonly wanted: Pick<WantedObjects, 'among'>
  /** Trees that need not be written if they are there. */
  readonly useful: readonly string[]
}

interface Adoption extends LinkedObjects {
  readonly wanted: WantedObjects
  readonly signal?: AbortSignal | undefined
}

/**
 * Makes objects of the user's repository our own, so that its gc, a rewrite of its history or its removal cannot take
 * them: packs and loose objects are cloned or hard-linked, which costs no space; on another file system the wanted
 * objects are packed anew.
 * @returns which of the wanted ones the private repository does not hold then
 */
export async function adoptObjects(
  repository: PrivateRepository,
  userObjects: string,
  { wanted, useful, signal }: Adoption,
): Promise<Set<string>> {
  linkObjects(repository, userObjects, { wanted, useful })
  const objects = join(repository.directory, 'objects')
  const missing = wanted.missingIn(openOwnObjects(repository))
  if (missing.size === 0) return missing
  const available = await objectSizes(repository, missing, { alternate: userObjects, signal })
  if (available.size === 0) return missing
  try {
    await runGit(
      privateCall(repository, ['pack-objects', '-q', join(objects, 'pack', 'pack')], {
        input: Buffer.from(`${[...available.keys()].join('\n')}\n`),
        environment: alternateEnvironment(userObjects),
        signal,
      }),
    )
  } catch (error) {
    // What the user's repository cannot give whole is read from the files.
    if (WorkspaceError.is(error, 'UNAVAILABLE')) return missing
    throw error
  }
  return absentFrom(openOwnObjects(repository), missing)
}

/** @returns false when the two directories cannot share files */
export function linkObjects(
  repository: PrivateRepository,
  userObjects: string,
  objects: LinkedObjects,
): boolean {
  noteLender(repository, userObjects)
  const packs = join(repository.directory, 'objects', 'pack')
  const distrusted = new Set(listNames(join(repository.directory, DISTRUSTED)))
  const sharing = { clones: true }
  if (!linkPacks(join(userObjects, 'pack'), packs, distrusted, sharing)) return false
  return linkLoose(userObjects, repository, objects, sharing)
}

export function wantedSet(ids: ReadonlySet<string>): WantedObjects {
  return {
    among: (others) => [...ids].filter((id) => others.has(id)),
    missingIn: (own) => absentFrom(own, ids),
  }
}

function absentFrom(own: OwnObjects, ids: Iterable<string>): Set<string> {
  const absent = new Set<string>()
  for (const id of ids) if (!own.has(id)) absent.add(id)
  return absent
}

/** @returns false when the two directories cannot share files */
function linkPacks(from: string, to: string, distrusted: ReadonlySet<string>, sharing: Sharing): boolean {
  const present = new Set(readdirSync(to))
  const names = listNames(from).filter(
    (name) =>
      /^pack-[0-9a-f]+\.(pack|idx)$/.test(name) &&
      !present.has(name) &&
      !distrusted.has(name.replace(/idx$/, 'pack')),
  )
  // A pack must be there before its index makes git look for it.
  for (const name of names.toSorted(
    (a, b) => (a.endsWith('.pack') ? 0 : 1) - (b.endsWith('.pack') ? 0 : 1),
  )) {
    if (!share(join(from, name), join(to, name), sharing)) return false
  }
  return true
}

/** @returns false when the two directories cannot share files */
function linkLoose(
  userObjects: string,
  repository: PrivateRepository,
  { wanted, useful }: LinkedObjects,
  sharing: Sharing,
): boolean {
  const objects = join(repository.directory, 'objects')
  const found = new Set<string>()
  for (const fan of listNames(userObjects).filter((name) => /^[0-9a-f]{2}$/.test(name))) {
    const present = new Set(listNames(join(objects, fan)))
    for (const name of listNames(join(userObjects, fan))) if (!present.has(name)) found.add(fan + name)
  }
  if (found.size === 0) return true
  const fans = new Set<string>()
  const ids = new Set([...wanted.among(found), ...useful.filter((tree) => found.has(tree))])
  noteAdopted(repository, [...ids])
  for (const id of ids) {
    const [fan, name] = [id.slice(0, 2), id.slice(2)]
    if (!fans.has(fan)) mkdirSync(join(objects, fan), { recursive: true, mode: 0o700 })
    fans.add(fan)
    if (!share(join(userObjects, fan, name), join(objects, fan, name), sharing)) return false
  }
  return true
}

/** Whether the file system clones files; most do not, and asking for each file costs as much as linking it. */
interface Sharing {
  clones: boolean
}

function share(from: string, to: string, sharing: Sharing): boolean {
  if (sharing.clones) {
    try {
      copyFileSync(from, to, constants.COPYFILE_FICLONE_FORCE | constants.COPYFILE_EXCL)
      return true
    } catch {
      sharing.clones = false
      rmSync(to, { force: true })
    }
  }
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT'
  }
}
