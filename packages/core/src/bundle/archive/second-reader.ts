import { Buffer } from 'node:buffer'
import { extract, type Header } from 'tar-stream'
import type { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { corrupt } from './archive-error.ts'
import { pathText } from '../../filesystem/path-text.ts'
import { releaseBuffer } from '../../store/release-buffer.ts'
import type { TarEntry } from './tar-entry.ts'

/** Reads the bytes that our own reader gets a second time, with another program, and compares what the two find. */
export interface SecondReader {
  /** What our own reader found, in order. */
  found(entry: TarEntry): void
  /**
   * The bytes that our own reader has just read; they are copied.
   * @throws `CORRUPT` when the two do not find the same in them
   */
  push(bytes: Buffer): Promise<void>
  /** @throws `CORRUPT` when one of them found more. */
  finish(): Promise<void>
  close(): void
}

/** Headers of before 1988 too; with a mark of one byte, each write is answered by a `drain`. */
const options = { allowUnknownFormat: true, highWaterMark: 1 }
/** What it keeps of earlier writes is a header that is not whole; our own reader takes none of more than 1 MiB. */
const KEPT_BYTES = 2 * 1024 * 1024

/**
 * The second opinion of tar-stream. An archive that two readers understand differently is how content is brought past a
 * check: one program inspects it, another one extracts something else. Compared are the members in order: type, name,
 * size, where links lead. Names are compared as tar-stream decodes them: bytes that are not UTF-8 are equal to it.
 *
 * What tar-stream does not read: of a sparse file in the PAX formats only type and place are compared, and at one in
 * GNU's old format, whose map tar-stream takes for content, the comparison ends.
 */
export function createSecondReader(): SecondReader {
  const stream = extract(options)
  const ours: TarEntry[] = []
  const theirs: Header[] = []
  const copyOf = copier()
  let failure: WorkspaceError | null = null
  let isOver = false
  let isClosed = false
  let wake: (() => void) | undefined
  const notify = (): void => wake?.()

  stream.on('entry', (header, content, next) => {
    theirs.push(header)
    content.on('end', next)
    content.resume()
  })
  stream.on('drain', notify)
  stream.on('error', (error) => {
    failure ??= corrupt(`another reader cannot read it (${error.message})`, error)
    notify()
  })
  stream.on('close', () => {
    isClosed = true
    notify()
  })

  function compare(): void {
    for (let [mine, other] = [ours[0], theirs[0]]; mine !== undefined && other !== undefined;) {
      theirs.shift()
      if (isOfUnknownType(other) && mine.segments !== null) {
        isOver = true
        stream.destroy()
        return
      }
      // One that is no sparse file is a volume label, which our own reader leaves out.
      if (!isOfUnknownType(other)) {
        ours.shift()
        if (!isSameMember(mine, other)) throw disagreement(mine.path)
      }
      ;[mine, other] = [ours[0], theirs[0]]
    }
  }

  return {
    found: (entry) => {
      if (!isOver) ours.push(entry)
    },
    async push(bytes) {
      if (isOver || bytes.length === 0) return
      const drained = new Promise<void>((resolve) => (wake = resolve))
      if (!isClosed) stream.write(copyOf(bytes))
      if (!isClosed) await drained
      compare()
      if (isOver) return
      // What follows the header of an old sparse file may fail it before our own reader knows that it is one.
      if (failure !== null && (theirs[0] === undefined || !isOfUnknownType(theirs[0]))) throw failure
      const [ahead] = ours
      // It has read the same bytes; ours may only be behind, with a map that is not whole.
      if (ahead !== undefined) throw disagreement(ahead.path)
    },
    async finish() {
      if (isOver) return
      const closed = new Promise<void>((resolve) => (wake = resolve))
      stream.end(null)
      if (!isClosed) await closed
      compare()
      if (failure !== null) throw failure
      const more = theirs.find((header) => !isOfUnknownType(header))
      const path = ours[0]?.path ?? (more === undefined ? undefined : byteString(more.name))
      if (path !== undefined) throw disagreement(path)
    },
    close() {
      isOver = true
      stream.destroy()
    },
  }
}

/** tar-stream keeps what is not whole yet, while the memory that it comes from is used again. */
function copier(): (bytes: Buffer) => Buffer {
  const copies: Buffer[] = []
  let copiedBytes = 0
  return (bytes) => {
    const copy = Buffer.allocUnsafeSlow(bytes.length)
    bytes.copy(copy)
    copies.push(copy)
    copiedBytes += copy.length
    for (
      let [oldest] = copies;
      oldest !== undefined && copiedBytes - oldest.length > KEPT_BYTES;
      [oldest] = copies
    ) {
      copiedBytes -= oldest.length
      copies.shift()
      releaseBuffer(oldest)
    }
    return copy
  }
}

function isOfUnknownType(header: Header): boolean {
  return typeOf(header) === null
}

function isSameMember(ours: TarEntry, theirs: Header): boolean {
  if (ours.type !== typeOf(theirs)) return false
  if (ours.segments !== null) return true
  const name = ours.type === 'directory' ? theirs.name.replace(/(?<=[^/])\/+$/, '') : theirs.name
  if (decoded(ours.path) !== name || ours.size !== theirs.size) return false
  const isLink = ours.type === 'symlink' || ours.type === 'hard-link'
  return !isLink || decoded(ours.linkPath) === theirs.linkname
}

function typeOf({ type, name }: Header): TarEntry['type'] | null {
  if (type === 'file' && name.endsWith('/')) return 'directory'
  // `null` for what it does not know, whatever its types say.
  const types: Readonly<Record<string, TarEntry['type'] | undefined>> = {
    file: 'file',
    'contiguous-file': 'file',
    directory: 'directory',
    link: 'hard-link',
    symlink: 'symlink',
    'character-device': 'device',
    'block-device': 'device',
    fifo: 'device',
  }
  return types[type] ?? null
}

function decoded(path: ByteString): string {
  return Buffer.from(path, 'latin1').toString('utf8')
}

function byteString(name: string): ByteString {
  return Buffer.from(name, 'utf8').toString('latin1')
}

function disagreement(path: ByteString): WorkspaceError {
  return corrupt(`two readers disagree about it, at ${JSON.stringify(pathText(path.slice(0, 300)))}`)
}
