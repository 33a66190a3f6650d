import { constants, copyFileSync, linkSync, lstatSync, mkdirSync, readdirSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { errnoOf } from '../../../filesystem/filesystem-error.ts'
import { readAdopted } from './adopted-objects.ts'
import { noteLender } from './lenders.ts'
import { pauser } from '../table/pause.ts'
import type { PrivateRepository } from './private-repository.ts'

/** Modification times of the user's object directories when they were looked through. */
export type SeenObjects = Readonly<Record<string, string>>

/** Bytes that one capture copies where the two directories cannot share files. */
const MAX_COPIED_BYTES = 64 << 20

/**
 * Keeps the user's objects reachable for us after their gc has removed them: commits, trees and staged files that nothing
 * names any more once an agent has reset a branch. They are hard-linked into a directory of their own, which takes no
 * space as long as the user has them too; those that snapshots need have their link already, and get there when no snapshot
 * needs them any more. A collection lets those go that only we have left: see `chooseExpired`.
 *
 * On another file system new loose objects are copied (64 MiB at a time) and packs are not: what is in a pack then goes
 * with the user's own.
 */
export async function keepRepositoryObjects(
  own: PrivateRepository,
  userObjects: string,
  seen: SeenObjects,
): Promise<SeenObjects> {
  noteLender(own, userObjects)
  const now: Record<string, string> = {}
  const pause = pauser()
  let canLink = true
  let copiedBytes = 0
  let adopted: ReadonlySet<string> | null = null
  for (const name of namesIn(userObjects)) {
    if (!/^(?:[0-9a-f]{2}|pack)$/.test(name)) continue
    const from = join(userObjects, name)
    const stats = lstatSync(from, { bigint: true, throwIfNoEntry: false })
    if (stats?.isDirectory() !== true) continue
    now[name] = `${stats.mtimeNs}`
    if (seen[name] === now[name]) continue
    const to = join(keptObjectsDirectory(own), name)
    const kept = new Set(namesIn(to))
    const inStore = new Set(name === 'pack' ? [] : namesIn(join(own.directory, 'objects', name)))
    for (const file of inOrder(namesIn(from), name === 'pack')) {
      const pausing = pause()
      if (pausing !== undefined) await pausing
      // One that a snapshot stored by itself is not the user's, and goes with the snapshot.
      const isAdopted = inStore.has(file) && (adopted ??= readAdopted(own)).has(name + file)
      if (isAdopted || kept.has(file)) continue
      if (kept.size === 0) mkdirSync(to, { recursive: true, mode: 0o700 })
      kept.add(file)
      if (canLink) canLink = link(join(from, file), join(to, file))
      if (canLink || name === 'pack' || copiedBytes > MAX_COPIED_BYTES) continue
      copiedBytes += copy(join(from, file), join(to, file))
    }
  }
  return now
}

/** For `GIT_ALTERNATE_OBJECT_DIRECTORIES`. */
export function keptObjectsDirectory(own: PrivateRepository): string {
  return join(own.directory, 'history')
}

/** Of an object that snapshots had the link of. @returns false when it could not be */
export function keepBesides(own: PrivateRepository, name: string): boolean {
  const to = join(keptObjectsDirectory(own), name)
  mkdirSync(dirname(to), { recursive: true, mode: 0o700 })
  return link(join(own.directory, 'objects', name), to)
}

/** A pack must be there before its index makes git look for it. */
function inOrder(names: readonly string[], isPack: boolean): string[] {
  if (!isPack) return names.filter((name) => /^[0-9a-f]+$/.test(name))
  const files = names.filter((name) => /^pack-[0-9a-f]+\.(?:pack|idx)$/.test(name))
  return files.toSorted((left, right) => Number(left.endsWith('.idx')) - Number(right.endsWith('.idx')))
}

/** @returns false when the two directories cannot share files */
function link(from: string, to: string): boolean {
  try {
    linkSync(from, to)
    return true
  } catch (error) {
    return ['ENOENT', 'EEXIST'].includes(errnoOf(error) ?? '')
  }
}

function copy(from: string, to: string): number {
  try {
    const { size } = lstatSync(from)
    copyFileSync(from, to, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL)
    return size
  } catch {
    rmSync(to, { force: true })
    return 0
  }
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory)
  } catch {
    return []
  }
}
