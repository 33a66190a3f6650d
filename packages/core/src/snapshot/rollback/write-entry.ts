import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  futimesSync,
  lchownSync,
  linkSync,
  lstatSync,
  lutimesSync,
  openSync,
  renameSync,
  unlinkSync,
  writeSync,
  type BigIntStats,
} from 'node:fs'
import { writeLink } from '../../filesystem/native-bytes.ts'
import { childPath, type ByteString, type DirectoryHandle } from '../../filesystem/directory-handle.ts'
import { nameOf, parentOf, pathResolver } from '../byte-path.ts'
import type { DirectoryAccess } from './directory-access.ts'
import { insistOn } from './insist-on.ts'
import type { Write } from './plan-rollback.ts'

export interface EntryWriter {
  write(write: Write, temporary: ByteString, content: AsyncIterable<Uint8Array>): Promise<void>
}

/** Puts files and links into their places, each written beside it and renamed into it. */
export function createEntryWriter(root: string, access: DirectoryAccess): EntryWriter {
  /** The first name written of each hard-linked file. */
  const linked = new Map<string, { readonly path: ByteString; readonly stats: BigIntStats }>()

  async function make(
    { path, entry }: Write,
    file: string | Buffer,
    parent: DirectoryHandle,
    content: AsyncIterable<Uint8Array>,
  ): Promise<void> {
    const owner = formerOwner(parent, nameOf(path))
    if (entry.type === 'symlink') {
      const parts: Uint8Array[] = []
      for await (const chunk of content) parts.push(chunk)
      writeLink(Buffer.concat(parts), file)
      if (owner !== null) lchownSync(file, Number(owner.uid), Number(owner.gid))
      if (entry.modifiedAt !== null) lutimesSync(file, entry.modifiedAt, entry.modifiedAt)
      return
    }
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW
    const fd = openSync(file, flags, 0o600)
    try {
      for await (const chunk of content)
        for (let done = 0; done < chunk.length;) done += writeSync(fd, chunk, done)
      if (owner !== null) fchownSync(fd, Number(owner.uid), Number(owner.gid))
      fchmodSync(fd, entry.mode)
      if (entry.modifiedAt !== null) futimesSync(fd, entry.modifiedAt, entry.modifiedAt)
    } finally {
      closeSync(fd)
    }
  }

  return {
    async write(write, temporary, content) {
      const { path, entry, merged } = write
      const group = merged === null ? entry.hardLinkGroup : null
      const twin = group === null ? undefined : linked.get(group)
      const parent = access.ensure(parentOf(path))
      const file = childPath(parent, temporary)
      if (twin === undefined || !linkTo(root, twin, file)) await make(write, file, parent, content)
      // The directory may have been closed, or exchanged, while the content was read.
      const now = access.openForWriting(parentOf(path))
      const place = childPath(now, nameOf(path))
      insistOn(() => renameSync(childPath(now, temporary), place), place)
      if (group !== null && !linked.has(group))
        linked.set(group, { path, stats: lstatSync(place, { bigint: true }) })
    },
  }
}

/** Best effort: whether the new name is another one of the very file that was written before. */
function linkTo(
  root: string,
  twin: { readonly path: ByteString; readonly stats: BigIntStats },
  file: string | Buffer,
): boolean {
  try {
    linkSync(pathResolver(root)(twin.path), file)
  } catch {
    return false
  }
  const stats = lstatSync(file, { bigint: true })
  if (stats.ino === twin.stats.ino && stats.dev === twin.stats.dev) return true
  unlinkSync(file)
  return false
}

/** When root rolls another user's workspace back, the files stay that user's. */
function formerOwner(parent: DirectoryHandle, name: ByteString): BigIntStats | null {
  if (process.getuid?.() !== 0) return null
  const there = lstatSync(childPath(parent, name), { bigint: true, throwIfNoEntry: false })
  return there ?? fstatSync(parent.fd, { bigint: true })
}
