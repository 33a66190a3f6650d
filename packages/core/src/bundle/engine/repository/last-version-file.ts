import { mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { decodeFormatMarker, encodeFormatMarker, type FormatMarker } from '../../format/format-marker.ts'
import { readJson } from '../../format/json-reader.ts'
import { decodeVersionRecord, encodeVersionRecord } from '../../format/version-record.ts'
import type { ObservedVersion } from './list-versions.ts'

/** The latest version that a save or load of a directory has seen, and the repository that it was in. */
export interface LastVersion extends ObservedVersion {
  readonly marker: FormatMarker
}

const NAME = 'last-version'
const MAX_FILE_BYTES = 4 * 1024 * 1024

/**
 * What the cache directory says of the version that the next save probably builds on: something to begin with until the
 * store has answered, and never more than that. `null` when there is nothing, or nothing that can be read.
 */
export function readLastVersion(cacheDirectory: string): LastVersion | null {
  try {
    const path = join(cacheDirectory, NAME)
    if (statSync(path).size > MAX_FILE_BYTES) return null
    const json = readJson(readFileSync(path), 'note of the last version')
    const workspaceId = json.field('workspaceId').text()
    const version = json.field('version').integer(1)
    const record = Buffer.from(json.field('record').text())
    return {
      marker: decodeFormatMarker(Buffer.from(json.field('marker').text())),
      record: decodeVersionRecord(record, { workspaceId, version }, null),
      etag: json.field('etag').text(),
    }
  } catch {
    return null
  }
}

/** Failures are ignored: the next save waits for the store before it begins. */
export function writeLastVersion(cacheDirectory: string, { marker, record, etag }: LastVersion): void {
  const { workspaceId, version } = record
  const note = {
    workspaceId,
    version,
    etag,
    marker: encodeFormatMarker(marker).toString(),
    record: encodeVersionRecord(record, null).toString(),
  }
  const temporary = join(cacheDirectory, `${NAME}.new`)
  try {
    mkdirSync(cacheDirectory, { recursive: true, mode: 0o700 })
    writeFileSync(temporary, JSON.stringify(note), { mode: 0o600 })
    renameSync(temporary, join(cacheDirectory, NAME))
  } catch {
    try {
      rmSync(temporary, { force: true })
    } catch {
      // What stands in the way of writing it may stand in the way of this, too. The version is saved all the same.
    }
  }
}
