import { deserialize, serialize } from 'node:v8'
import zlib from 'node:zlib'
import {
  fromDirectoryColumns,
  toDirectoryColumns,
  type DirectoryColumns,
} from '../table/directory-columns.ts'
import { split, tableOfColumns } from '../table/entry-table.ts'
import { FIELDS, sharedNumbers } from '../table/shared-columns.ts'
import type { PathSet } from '../table/sorted-paths.ts'
import type { CaptureState } from './capture-state.ts'

const FORMAT = 7
/** The format, the CRC-32 of all that follows, and how many bytes of it are no columns. */
const HEADER_BYTES = 12
const NUMBER_BYTES = FIELDS * Float64Array.BYTES_PER_ELEMENT
const TIME_BYTES = FIELDS * BigInt64Array.BYTES_PER_ELEMENT

interface EncodedState extends Omit<CaptureState, 'entries' | 'directories' | 'listed'> {
  readonly rows: number
  readonly idBytes: number
  readonly directories: DirectoryColumns
  readonly listed: string | null
}

/** As parts to be written one after the other: the columns are as they are in memory, since copying them takes longer. */
export function encodeState(state: CaptureState): Uint8Array[] {
  const { entries, directories, listed, ...rest } = state
  const { numbers, times, ids } = entries.columns()
  const body = serialize({
    ...rest,
    rows: entries.size,
    idBytes: ids.length / Math.max(entries.size, 1),
    directories: toDirectoryColumns(directories),
    listed: state.isAsListed ? null : [...listed().keys()].join('\0'),
  } satisfies EncodedState)
  const parts = [body, bytesOf(numbers), bytesOf(times), ids, entries.sharedPaths().text]
  const header = Buffer.alloc(HEADER_BYTES)
  header.writeUInt32LE(FORMAT, 0)
  header.writeUInt32LE(
    parts.reduce((checksum, part) => zlib.crc32(part, checksum), 0),
    4,
  )
  header.writeUInt32LE(body.length, 8)
  return [header, ...parts]
}

/** @returns `null` for what is not whole, or of another version */
export function decodeState(bytes: Buffer): CaptureState | null {
  if (bytes.length < HEADER_BYTES || bytes.readUInt32LE(0) !== FORMAT) return null
  if (bytes.readUInt32LE(4) !== zlib.crc32(bytes.subarray(HEADER_BYTES))) return null
  try {
    const bodyEnd = HEADER_BYTES + bytes.readUInt32LE(8)
    const stored = deserialize(bytes.subarray(HEADER_BYTES, bodyEnd)) as EncodedState
    const { rows, idBytes, directories, listed: names, ...rest } = stored
    const timesAt = bodyEnd + rows * NUMBER_BYTES
    const idsAt = timesAt + rows * TIME_BYTES
    const textAt = idsAt + rows * idBytes
    const { numbers, times } = sharedNumbers(rows)
    bytesOf(numbers).set(bytes.subarray(bodyEnd, timesAt))
    bytesOf(times).set(bytes.subarray(timesAt, idsAt))
    const paths = bytes.toString('latin1', textAt)
    const ids = new Uint8Array(bytes.subarray(idsAt, textAt))
    const entries = tableOfColumns({ paths, numbers, times, ids })
    let listed: PathSet | null = null
    return {
      ...rest,
      entries,
      directories: fromDirectoryColumns(directories),
      listed: () => (listed ??= names === null ? entries : new Set(split(names))),
    }
  } catch {
    return null
  }
}

function bytesOf({ buffer, byteOffset, byteLength }: Float64Array | BigInt64Array): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}
