import { Buffer } from 'node:buffer'
import { gzipSync } from 'node:zlib'

export interface RawHeader {
  readonly name: string | Buffer
  readonly type?: string
  readonly size?: number | Buffer
  readonly mode?: number
  readonly mtime?: number
  readonly linkName?: string
  readonly magic?: string
  readonly prefix?: string
  /** Changes the finished block before its checksum is made. */
  readonly patch?: (block: Buffer) => void
  readonly breakChecksum?: boolean
}

/** One tar header that says exactly what it is told, right or wrong. */
export function rawHeader(header: RawHeader): Buffer {
  const block = Buffer.alloc(512)
  Buffer.from(header.name).copy(block, 0, 0, 100)
  block.write(`${(header.mode ?? 0o644).toString(8).padStart(7, '0')}\0`, 100)
  block.write('0000000\0', 108)
  block.write('0000000\0', 116)
  if (Buffer.isBuffer(header.size)) header.size.copy(block, 124)
  else block.write(`${(header.size ?? 0).toString(8).padStart(11, '0')}\0`, 124)
  block.write(`${(header.mtime ?? 1_700_000_000).toString(8).padStart(11, '0')}\0`, 136)
  block.write(header.type ?? '0', 156, 'latin1')
  block.write(header.linkName ?? '', 157, 100, 'latin1')
  block.write(header.magic ?? 'ustar\x0000', 257, 'latin1')
  block.write(header.prefix ?? '', 345, 155, 'latin1')
  header.patch?.(block)
  block.fill(0x20, 148, 156)
  const sum = block.reduce((total, byte) => total + byte, 0) + (header.breakChecksum === true ? 1 : 0)
  block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148)
  return block
}

export function padded(content: Buffer | string): Buffer {
  const bytes = Buffer.from(content)
  return Buffer.concat([bytes, Buffer.alloc((512 - (bytes.length % 512)) % 512)])
}

export function file(
  name: string,
  content: string | Buffer = 'evil',
  extra: Partial<RawHeader> = {},
): Buffer {
  return Buffer.concat([rawHeader({ name, size: Buffer.byteLength(content), ...extra }), padded(content)])
}

export const directory = (name: string, extra: Partial<RawHeader> = {}): Buffer =>
  rawHeader({ name, type: '5', mode: 0o755, ...extra })
export const symlink = (name: string, linkName: string): Buffer => rawHeader({ name, type: '2', linkName })
export const hardLink = (name: string, linkName: string): Buffer => rawHeader({ name, type: '1', linkName })

export function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(key) + Buffer.byteLength(value) + 3
  let length = rest + String(rest).length
  if (rest + String(length).length !== length) length = rest + String(length).length
  return `${length} ${key}=${value}\n`
}

export function pax(records: Readonly<Record<string, string>> | string, type: 'x' | 'g' = 'x'): Buffer {
  const text =
    typeof records === 'string'
      ? records
      : Object.entries(records)
          .map(([key, value]) => paxRecord(key, value))
          .join('')
  return Buffer.concat([rawHeader({ name: 'pax', type, size: Buffer.byteLength(text) }), padded(text)])
}

export function gnuLong(kind: 'L' | 'K', name: string): Buffer {
  return Buffer.concat([
    rawHeader({ name: '././@LongLink', type: kind, size: Buffer.byteLength(name) + 1, magic: 'ustar  \0' }),
    padded(`${name}\0`),
  ])
}

export const endOfArchive = Buffer.alloc(1024)

export function tarGz(...parts: Buffer[]): Buffer {
  return gzipSync(Buffer.concat([...parts, endOfArchive]), { level: 1 })
}
