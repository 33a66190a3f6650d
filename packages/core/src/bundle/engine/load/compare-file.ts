import { fstatSync, type BigIntStats } from 'node:fs'
import { readLinkBytes } from '../../../filesystem/native-bytes.ts'
import { WorkspaceError } from '../../../errors.ts'
import { childPath, type DirectoryHandle } from '../../../filesystem/directory-handle.ts'
import type { FileEntry, SymlinkEntry } from '../../format/tree-node.ts'
import { closePresent, openPresent } from './check-file.ts'
import {
  comes,
  countFile,
  makeRoom,
  replace,
  stagedPlace,
  type CompareState,
  type GroupMember,
  type Place,
} from './compare-state.ts'
import { fieldsOf, foundEntry, isSameFields, wantedFields } from './load-plan.ts'
import { isReadable, openClosedFile, unreadable } from './unreadable.ts'

/** Leaves a file alone, has its fields set, or has it made anew. Hard-linked ones wait for {@link settleGroups}. */
export async function compareFile(
  state: CompareState,
  place: Place,
  entry: FileEntry,
  found: BigIntStats | null,
  open: DirectoryHandle,
): Promise<void> {
  const same = found?.isFile() === true ? await sameFile(state, place, entry, found, open) : null
  const isSame = same !== null
  let stats = same ?? found
  if (entry.hardLinkGroup !== 0n) {
    if (stats?.isDirectory() === true) stats = await makeRoom(state, place, open)
    else if (stats !== null && !isSame && !isReadable(open, place.name, stats)) throw unreadable(place.path)
    const members = state.groups.get(entry.hardLinkGroup) ?? []
    members.push({ place, entry, stats, isSame })
    state.groups.set(entry.hardLinkGroup, members)
    if (stats !== null && isSame) claim(state, stats, entry.hardLinkGroup)
    return
  }
  if (same !== null && claim(state, same, null) && canStay(state, place, entry, same)) return
  const present = stats?.isFile() === true && entry.runs.length > 1 ? openPresent(open, place.name) : null
  try {
    const number = isSame ? comes(state, place, stats) : await replace(state, place, stats, open)
    await state.context.stage.addFile(stagedPlace(place, number), entry, present)
  } finally {
    closePresent(present)
  }
}

function canStay(state: CompareState, place: Place, entry: FileEntry, stats: BigIntStats): boolean {
  const before = fieldsOf(stats)
  const after = wantedFields(entry, before)
  if (!isSameFields(before, after)) {
    // The file may have names outside of the directory, and would change there too.
    if (stats.nlink !== 1n) return false
    if (after.mode !== entry.mode) state.context.stage.noteDropped(place.path, entry.mode)
    place.directory.fields.push({ name: place.name, found: foundEntry(stats), before, after })
    state.context.memory.addUnsettled(place)
  }
  keep(state, entry)
  return true
}

/** @returns the file as it is now, when it has the content; `null` for another one */
async function sameFile(
  { context }: CompareState,
  place: Place,
  entry: FileEntry,
  stats: BigIntStats,
  open: DirectoryHandle,
): Promise<BigIntStats | null> {
  if (stats.size !== BigInt(entry.size)) return null
  if (context.memory.hasContent(place.path, stats, entry.runs)) {
    context.memory.addKept(place, stats, true)
    return stats
  }
  const fd = openPresent(open, place.name) ?? openClosedFile(open, place.name)
  if (fd === null) return null
  try {
    // What was opened must be what was looked at: it may have been exchanged for a device.
    const now = fstatSync(fd, { bigint: true })
    if (now.ino !== stats.ino) return null
    if (
      !(await context.content.holds(
        fd,
        context.tree.knownRuns(place.path, entry) ?? context.tree.runs(place.path, entry),
      ))
    )
      return null
    countFile(context.tally.verified, entry.size)
    context.memory.addKept(place, stats, false)
    return isReadable(open, place.name, stats) ? stats : now
  } catch (error) {
    if (!WorkspaceError.is(error, 'CORRUPT')) throw error
    return null
  } finally {
    closePresent(fd)
  }
}

/** False for an inode that is another file of the version already. */
function claim({ inodes }: CompareState, stats: BigIntStats, group: bigint | null): boolean {
  if (stats.nlink === 1n) return true
  const owner = inodes.get(stats.ino)
  if (owner === undefined) {
    inodes.set(stats.ino, group)
    return true
  }
  return group !== null && owner === group
}

function keep({ context }: CompareState, entry: FileEntry): void {
  countFile(context.tally.kept, entry.size)
  context.onProgress()
}

/** Decides about hard-linked files when all their names were seen: here, and by the stage in directories that are new. */
export async function settleGroups(state: CompareState): Promise<void> {
  for (const [group, members] of state.groups) {
    const isKept =
      !state.context.stage.hasLinked(group) &&
      members.every((member) => isIntact(state, group, member, members[0]))
    for (const { place, entry, stats } of members) {
      if (isKept) keep(state, entry)
      else await state.context.stage.addFile(stagedPlace(place, comes(state, place, stats)), entry, null)
    }
  }
}

function isIntact(
  { inodes }: CompareState,
  group: bigint,
  { isSame, stats, entry }: GroupMember,
  first: GroupMember | undefined,
): boolean {
  if (!isSame || stats === null || stats.ino !== first?.stats?.ino) return false
  const before = fieldsOf(stats)
  const owner = inodes.get(stats.ino)
  return (owner === undefined || owner === group) && isSameFields(before, wantedFields(entry, before))
}

export async function compareSymlink(
  state: CompareState,
  place: Place,
  entry: SymlinkEntry,
  stats: BigIntStats | null,
  open: DirectoryHandle,
): Promise<void> {
  const { memory, stage, tally } = state.context
  if (stats?.isSymbolicLink() === true) {
    const present = { ...fieldsOf(stats), mode: 0 }
    const isSame =
      readLinkBytes(childPath(open, place.name)).toString('latin1') === entry.target &&
      isSameFields(present, { ...wantedFields(entry, present), mode: 0 })
    if (isSame) {
      memory.addKept(place, stats, false)
      tally.kept.files += 1
      return
    }
  }
  stage.addSymlink(stagedPlace(place, await replace(state, place, stats, open)), entry)
}
