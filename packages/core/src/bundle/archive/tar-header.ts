import { Buffer, isUtf8 } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'

export const TAR_BLOCK_BYTES = 512

export interface TarHeaderFields {
  /** As it goes into the archive: a directory ends in `/`. */
  readonly path: ByteString
  readonly type: 'file' | 'directory' | 'symlink' | 'hard-link'
  readonly mode: number
  readonly size: number
  readonly mtimeNs: bigint
  /** Of links; else empty. */
  readonly linkPath: ByteString
}

const typeFlags = { file: 0x30, 'hard-link': 0x31, symlink: 0x32, directory: 0x35 } as const
const MAX_OCTAL_SIZE = 0o77777777777
const NANOSECONDS = 1_000_000_000n

/** The longest name that is taken when an archive is read. */
export const MAX_TAR_PATH_BYTES = 64 * 1024
/** More than PAX records take beside the two paths. */
const OTHER_RECORD_BYTES = 512

/** How long the header of an entry may become: PAX header, PAX records, ustar header. */
export function headerRoom(path: ByteString, linkPath: ByteString): number {
  return 2 * TAR_BLOCK_BYTES + paddedLength(OTHER_RECORD_BYTES + path.length + linkPath.length)
}

/**
 * Writes a POSIX.1-2001 (PAX) header the way GNU tar does and returns its length: a plain ustar block, preceded by PAX
 * records only for what that block cannot say (sub-second times, long or non-ASCII names, sizes of 8 GiB and more).
 * A name that is not UTF-8 goes in as its raw bytes under `hdrcharset=BINARY`.
 */
export function writeTarHeader(target: Buffer, offset: number, fields: TarHeaderFields): number {
  const records = paxRecords(fields)
  if (records === '') {
    writeBlock(target, offset, fields, fields.path, fields.linkPath, typeFlags[fields.type], fields.size)
    return TAR_BLOCK_BYTES
  }
  const length = records.length
  const padded = paddedLength(length)
  writeBlock(target, offset, fields, 'PaxHeaders/entry', '', 0x78, length)
  target.fill(0, offset + TAR_BLOCK_BYTES + length, offset + TAR_BLOCK_BYTES + padded)
  target.write(records, offset + TAR_BLOCK_BYTES, length, 'latin1')
  const main = offset + TAR_BLOCK_BYTES + padded
  writeBlock(
    target,
    main,
    fields,
    shortName(fields.path, fields.type),
    fields.linkPath.slice(0, 100),
    typeFlags[fields.type],
    fields.size,
  )
  return main + TAR_BLOCK_BYTES - offset
}

export function paddedLength(bytes: number): number {
  return Math.ceil(bytes / TAR_BLOCK_BYTES) * TAR_BLOCK_BYTES
}

function paxRecords(fields: TarHeaderFields): string {
  const { path, linkPath, size, mtimeNs } = fields
  const needsPath = path.length > 100 || !isPlain(path)
  const needsLink = linkPath.length > 100 || !isPlain(linkPath)
  let records = ''
  if (
    (needsPath && !isUtf8(Buffer.from(path, 'latin1'))) ||
    (needsLink && !isUtf8(Buffer.from(linkPath, 'latin1')))
  ) {
    records += paxRecord('hdrcharset', 'BINARY')
  }
  if (needsPath) records += paxRecord('path', path)
  if (needsLink) records += paxRecord('linkpath', linkPath)
  if (size > MAX_OCTAL_SIZE) records += paxRecord('size', String(size))
  if (mtimeNs < 0n || mtimeNs % NANOSECONDS !== 0n || mtimeNs / NANOSECONDS > BigInt(MAX_OCTAL_SIZE)) {
    records += paxRecord('mtime', decimalSeconds(mtimeNs))
  }
  return records
}

/** `<length> <key>=<value>\n`, where the length counts its own digits. */
function paxRecord(key: string, value: string): string {
  const rest = key.length + value.length + 3
  let length = rest + String(rest).length
  if (rest + String(length).length !== length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

function decimalSeconds(nanoseconds: bigint): string {
  const magnitude = nanoseconds < 0n ? -nanoseconds : nanoseconds
  const fraction = (magnitude % NANOSECONDS).toString().padStart(9, '0').replace(/0+$/, '')
  const text = (magnitude / NANOSECONDS).toString() + (fraction === '' ? '' : `.${fraction}`)
  return nanoseconds < 0n ? `-${text}` : text
}

function isPlain(text: ByteString): boolean {
  return /^[\u0020-\u007e]*$/.test(text)
}

function shortName(path: ByteString, type: TarHeaderFields['type']): ByteString {
  if (path.length <= 100) return path
  return type === 'directory' ? `${path.slice(0, 99)}/` : path.slice(0, 100)
}

function writeBlock(
  target: Buffer,
  offset: number,
  fields: TarHeaderFields,
  path: ByteString,
  linkPath: ByteString,
  flag: number,
  size: number,
): void {
  target.fill(0, offset, offset + TAR_BLOCK_BYTES)
  target.write(path, offset, 100, 'latin1')
  writeOctal(target, offset + 100, 7, fields.mode)
  writeOctal(target, offset + 108, 7, 0)
  writeOctal(target, offset + 116, 7, 0)
  // A size that does not fit is in the PAX records; zero here would make a reader that ignores them lose its place.
  writeOctal(target, offset + 124, 11, Math.min(size, MAX_OCTAL_SIZE))
  const seconds = fields.mtimeNs < 0n ? 0 : Number(fields.mtimeNs / NANOSECONDS)
  writeOctal(target, offset + 136, 11, Math.min(seconds, MAX_OCTAL_SIZE))
  target[offset + 156] = flag
  if (linkPath !== '') target.write(linkPath, offset + 157, 100, 'latin1')
  target.write('ustar\u000000', offset + 257, 8, 'latin1')
  target.fill(0x20, offset + 148, offset + 156)
  writeOctal(target, offset + 148, 6, blockSum(target, offset))
  target[offset + 154] = 0
}

export function blockSum(block: Uint8Array, offset: number): number {
  let sum = 0
  for (let index = offset; index < offset + TAR_BLOCK_BYTES; index += 1) sum += block[index] ?? 0
  return sum
}

function writeOctal(target: Buffer, offset: number, digits: number, value: number): void {
  let rest = value
  for (let index = offset + digits - 1; index >= offset; index -= 1) {
    target[index] = 0x30 + (rest % 8)
    rest = Math.floor(rest / 8)
  }
}
