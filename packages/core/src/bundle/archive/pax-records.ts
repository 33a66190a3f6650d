import type { Buffer } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { corrupt } from './archive-error.ts'
import type { SparseSegment } from './sparse-map.ts'
import { parseSize } from './tar-fields.ts'

/** What PAX records say about one entry; keys that do not change what is written are left out. */
export interface PaxFields {
  readonly path?: ByteString
  readonly linkPath?: ByteString
  readonly size?: number
  readonly mtime?: number
  readonly sparse?: PaxSparse
}

interface PaxSparse {
  readonly version: '0.0' | '0.1' | '1.0'
  readonly realSize: number
  readonly path?: ByteString
  /** Absent in version 1.0, where it leads the content. */
  readonly segments?: readonly SparseSegment[]
}

const globalKeys = /^(comment|hdrcharset|charset|atime|ctime|mtime|uid|gid|uname|gname|GNU\.volume\.label)$/

export function parsePaxRecords(data: Buffer): PaxFields {
  const values = new Map<string, string>()
  const pairs: string[] = []
  for (const [key, value] of records(data)) {
    if (key === 'GNU.sparse.offset' || key === 'GNU.sparse.numbytes') {
      pairs.push(value)
      if ((key === 'GNU.sparse.offset') !== (pairs.length % 2 === 1))
        throw corrupt('a sparse map is malformed')
      continue
    }
    if (values.has(key)) throw corrupt(`a PAX header says "${key}" twice`)
    values.set(key, value)
  }
  const path = textValue(values, 'path')
  const linkPath = textValue(values, 'linkpath')
  const size = values.get('size')
  const mtime = values.get('mtime')
  const sparse = sparseFields(values, pairs)
  return {
    ...(path === undefined ? {} : { path }),
    ...(linkPath === undefined ? {} : { linkPath }),
    ...(size === undefined ? {} : { size: parseSize(size) }),
    ...(mtime === undefined ? {} : { mtime: parseTime(mtime) }),
    ...(sparse === undefined ? {} : { sparse }),
  }
}

/** Global records may comment; a name or size for every entry at once is only ever an attack. */
export function checkGlobalPaxRecords(data: Buffer): void {
  for (const [key] of records(data)) {
    if (!globalKeys.test(key)) throw corrupt(`a global PAX header sets "${key}" for all entries`)
  }
}

function* records(data: Buffer): Generator<[string, string], void, void> {
  let position = 0
  while (position < data.length) {
    const space = data.indexOf(0x20, position)
    const digits = space === -1 ? '' : data.toString('latin1', position, space)
    if (!/^[1-9][0-9]{0,9}$/.test(digits)) throw corrupt('a PAX record has no proper length')
    const end = position + Number(digits)
    if (end > data.length || end <= space || data[end - 1] !== 0x0a) {
      throw corrupt('a PAX record is not as long as it says')
    }
    const equals = data.indexOf(0x3d, space)
    if (equals === -1 || equals >= end || equals === space + 1) throw corrupt('a PAX record has no key')
    yield [data.toString('latin1', space + 1, equals), data.toString('latin1', equals + 1, end - 1)]
    position = end
  }
}

function textValue(values: Map<string, string>, key: string): string | undefined {
  const value = values.get(key)
  if (value === undefined) return undefined
  if (value === '' || value.includes('\0')) throw corrupt(`a PAX ${key} is empty or holds a NUL`)
  return value
}

/** Seconds, cut downwards to the microsecond: what is below, a double does not tell and no time of a file is set to. */
function parseTime(text: string): number {
  const [, sign, seconds, digits = ''] = /^(-?)([0-9]{1,15})(?:\.([0-9]*))?$/.exec(text) ?? []
  if (seconds === undefined) throw corrupt('a PAX header has a malformed time')
  const microseconds = BigInt(seconds + digits.padEnd(6, '0').slice(0, 6))
  const isCut = /[1-9]/.test(digits.slice(6))
  return Number(sign === '' ? microseconds : -microseconds - (isCut ? 1n : 0n)) / 1e6
}

function sparseFields(values: Map<string, string>, pairs: readonly string[]): PaxSparse | undefined {
  const name = textValue(values, 'GNU.sparse.name')
  const path = name === undefined ? {} : { path: name }
  const major = values.get('GNU.sparse.major')
  if (major !== undefined) {
    if (major !== '1' || values.get('GNU.sparse.minor') !== '0') throw corrupt('a sparse format is unknown')
    return { version: '1.0', realSize: parseSize(values.get('GNU.sparse.realsize') ?? ''), ...path }
  }
  const size = values.get('GNU.sparse.size')
  if (size === undefined) {
    if (pairs.length > 0) throw corrupt('a sparse map has no size')
    return undefined
  }
  const map = values.get('GNU.sparse.map')
  const numbers = (map === undefined ? pairs : map.split(',').filter((part) => part !== '')).map(parseSize)
  if (numbers.length % 2 !== 0) throw corrupt('a sparse map is malformed')
  const segments: SparseSegment[] = []
  for (let index = 0; index < numbers.length; index += 2) {
    segments.push({ offset: numbers[index] ?? 0, length: numbers[index + 1] ?? 0 })
  }
  return { version: map === undefined ? '0.0' : '0.1', realSize: parseSize(size), segments, ...path }
}
