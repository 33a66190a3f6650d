import { Buffer } from 'node:buffer'
import {
  chmodSync,
  closeSync,
  ftruncateSync,
  linkSync,
  lutimesSync,
  mkdirSync,
  unlinkSync,
  utimesSync,
} from 'node:fs'
import { writeLink } from '../../filesystem/native-bytes.ts'
import {
  childPath,
  closeDirectory,
  openChild,
  openRoot,
  toFilePath,
  type ByteString,
  type DirectoryHandle,
} from '../../filesystem/directory-handle.ts'
import type { TimeSlice } from '../../filesystem/time-slice.ts'
import type { EntryStep } from './entry-policy.ts'
import type { FileBatches } from './file-batches.ts'
import type { SparseSegment } from './sparse-map.ts'
import { createFile, exclusive, fileTime, setTime, writeAt } from './write-file.ts'

/** Writes entries below a fresh, private directory that holds no links until the very end. */
export interface TreeWriter {
  begin(step: EntryStep, segments: readonly SparseSegment[] | null): void
  write(bytes: Buffer): void
  end(): void
  /** Makes the links, then gives directories their modes and times, innermost first. */
  finish(slice: TimeSlice): Promise<void>
  /** Closes what is open. */
  close(): void
  /** What the archive says about the directory itself, for when it is in its place. */
  root(): { readonly mode: number; readonly mtime: number } | null
}

/** Longer paths go through an open directory: the system takes 4,096 bytes at once. */
const MAX_PATH_BYTES = 3800
const HOLE_BYTES = 64 * 1024
const zeros = Buffer.alloc(HOLE_BYTES)

/** @param batches takes small files off the hands of this thread */
export function createTreeWriter(root: ByteString, umask: number, batches: FileBatches | null): TreeWriter {
  const directories = new Map<ByteString, { mode: number; mtime: number } | null>()
  const symlinks = new Map<ByteString, EntryStep>()
  let rootFields: { mode: number; mtime: number } | null = null
  let open: OpenFile | null = null
  /** Whether the entry is a file that the other thread will write. */
  let isBatched = false
  const places = placesBelow(root)
  const at = (path: ByteString): string | Buffer => places.at(path)

  function makeDirectory(path: ByteString, fields: { mode: number; mtime: number } | null): void {
    if (!directories.has(path)) {
      const mode = fields === null ? 0o777 : fields.mode | 0o700
      exclusive(path, () => mkdirSync(at(path), { mode }))
    }
    directories.set(path, fields)
  }

  function beginFile(step: EntryStep, segments: readonly SparseSegment[] | null): void {
    const { path, mode, mtime, size } = step
    const isShort = root.length + path.length < MAX_PATH_BYTES
    const file = { path: `${root}/${path}`, name: path, mode, mtime, length: size }
    if (segments === null && isShort && step.replaces === null && batches?.begin(file) === true) {
      isBatched = true
      return
    }
    const fd = exclusive(path, () => createFile(at(path), mode, umask))
    open = { fd, step, segments, segment: 0, inSegment: 0, position: 0 }
  }

  return {
    begin(step, segments) {
      for (const parent of step.missingParents) makeDirectory(parent, null)
      // What is replaced or linked to may be on its way still.
      if (step.replaces !== null || step.action === 'hard-link') batches?.settle()
      if (step.replaces === 'symlink') symlinks.delete(step.path)
      else if (step.replaces === 'file') unlinkSync(at(step.path))
      if (step.action === 'file') beginFile(step, segments)
      else if (step.action === 'symlink') symlinks.set(step.path, step)
      else if (step.action === 'hard-link') {
        exclusive(step.path, () => places.link(step.linkPath, step.path))
      } else if (step.action === 'directory') {
        if (step.path === '') rootFields = { mode: step.mode, mtime: step.mtime }
        else makeDirectory(step.path, { mode: step.mode, mtime: step.mtime })
      }
    },
    write(bytes) {
      if (isBatched) batches?.add(bytes)
      if (open === null) return
      if (open.segments === null) writeDense(open, bytes)
      else writeSparse(open, bytes, open.segments)
    },
    end() {
      isBatched = false
      if (open === null) return
      const { fd } = open
      finishFile(open)
      open = null
      closeSync(fd)
    },
    async finish(slice) {
      batches?.settle()
      for (const step of symlinks.values()) {
        makeSymlink(step, at(step.path))
        const pause = slice.pauseWhenDue()
        if (pause !== undefined) await pause
      }
      const innermostFirst = [...directories].sort(([left], [right]) => (left < right ? 1 : -1))
      for (const [path, fields] of innermostFirst) {
        if (fields === null) continue
        setDirectoryFields(at(path), fields, umask)
        const pause = slice.pauseWhenDue()
        if (pause !== undefined) await pause
      }
      places.close()
    },
    close() {
      if (open !== null) closeSync(open.fd)
      open = null
      batches?.close()
      places.close()
    },
    root: () => rootFields,
  }
}

function finishFile({ fd, step, segments, position }: OpenFile): void {
  if (segments !== null || position !== step.size || step.size >= HOLE_BYTES) ftruncateSync(fd, step.size)
  setTime(fd, step.mtime)
}

function makeSymlink({ path, linkPath, mtime }: EntryStep, place: string | Buffer): void {
  exclusive(path, () => writeLink(Buffer.from(linkPath, 'latin1'), place))
  lutimesSync(place, fileTime(mtime), fileTime(mtime))
}

function setDirectoryFields(
  place: string | Buffer,
  { mode, mtime }: { readonly mode: number; readonly mtime: number },
  umask: number,
): void {
  const kept = mode | 0o700
  if (kept !== mode || (kept & umask) !== 0) chmodSync(place, mode)
  utimesSync(place, fileTime(mtime), fileTime(mtime))
}

interface Places {
  /** Where an entry is, for the next system call. */
  at(path: ByteString): string | Buffer
  link(existing: ByteString, path: ByteString): void
  close(): void
}

/** Paths of any length below a directory: long ones start from an open directory on the way. */
function placesBelow(root: ByteString): Places {
  let deep: { parent: ByteString; handle: DirectoryHandle } | null = null
  function close(): void {
    if (deep !== null) closeDirectory(deep.handle)
    deep = null
  }
  function at(path: ByteString): string | Buffer {
    if (root.length + path.length < MAX_PATH_BYTES) return toFilePath(`${root}/${path}`)
    const slash = path.lastIndexOf('/')
    const parent = path.slice(0, Math.max(slash, 0))
    if (deep?.parent !== parent) {
      close()
      deep = { parent, handle: openDeep(root, parent) }
    }
    return childPath(deep.handle, path.slice(slash + 1))
  }
  return {
    at,
    close,
    link(existing, path) {
      const from = at(existing)
      // Its directory must stay open while the other place is looked up.
      const held = deep
      deep = null
      try {
        linkSync(from, at(path))
      } finally {
        if (held !== null) closeDirectory(held.handle)
      }
    },
  }
}

interface OpenFile {
  readonly fd: number
  readonly step: EntryStep
  readonly segments: readonly SparseSegment[] | null
  segment: number
  inSegment: number
  position: number
}

/** Long runs of zeros in a large file become holes. */
function writeDense(file: OpenFile, bytes: Buffer): void {
  if (file.step.size < 16 * HOLE_BYTES) {
    writeAt(file.fd, bytes, file.position)
    file.position += bytes.length
    return
  }
  let start = 0
  for (let offset = 0; offset < bytes.length;) {
    const length = Math.min(HOLE_BYTES, bytes.length - offset)
    const isHole =
      length === HOLE_BYTES && bytes[offset] === 0 && zeros.equals(bytes.subarray(offset, offset + length))
    if (isHole) {
      if (offset > start) writeAt(file.fd, bytes.subarray(start, offset), file.position + start)
      start = offset + length
    }
    offset += length
  }
  if (start < bytes.length) writeAt(file.fd, bytes.subarray(start), file.position + start)
  file.position += bytes.length
}

function writeSparse(file: OpenFile, bytes: Buffer, segments: readonly SparseSegment[]): void {
  let offset = 0
  while (offset < bytes.length) {
    const segment = segments[file.segment]
    if (segment === undefined) return
    const length = Math.min(segment.length - file.inSegment, bytes.length - offset)
    if (length > 0) {
      writeAt(file.fd, bytes.subarray(offset, offset + length), segment.offset + file.inSegment)
    }
    offset += length
    file.inSegment += length
    if (file.inSegment === segment.length) {
      file.segment += 1
      file.inSegment = 0
    }
  }
}

function openDeep(root: ByteString, path: ByteString): DirectoryHandle {
  let handle = openRoot(root)
  let rest = path
  while (rest !== '') {
    let cut = rest.length
    if (cut > MAX_PATH_BYTES) cut = rest.lastIndexOf('/', MAX_PATH_BYTES)
    const outer = handle
    try {
      handle = openChild(outer, rest.slice(0, cut))
    } finally {
      closeDirectory(outer)
    }
    rest = rest.slice(cut + 1)
  }
  return handle
}
