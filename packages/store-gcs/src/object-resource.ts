import type { ObjectInfo } from '@ws/core'

/** What the store asks the service to tell of an object. */
export const OBJECT_FIELDS = 'name,size,generation,metageneration,updated,contentType,metadata,crc32c'

export interface ObjectResource {
  readonly info: ObjectInfo
  readonly metageneration: string
  readonly crc32c: string | undefined
}

/** Reads the service's description of an object; `undefined` when it is none. */
export function parseObjectResource(value: unknown): ObjectResource | undefined {
  if (typeof value !== 'object' || value === null) return undefined
  const given = value as Readonly<Record<string, unknown>>
  const { name, size, generation, metageneration, updated, contentType, metadata, crc32c } = given
  if (typeof name !== 'string' || !isDigits(size) || !isDigits(generation) || !isDigits(metageneration))
    return undefined
  const modifiedAt = new Date(typeof updated === 'string' ? updated : Number.NaN)
  if (Number.isNaN(modifiedAt.getTime())) return undefined
  return {
    info: {
      key: name,
      size: Number(size),
      etag: generation,
      modifiedAt,
      ...(typeof contentType === 'string' ? { contentType } : {}),
      metadata: parseMetadata(metadata),
    },
    metageneration,
    crc32c: typeof crc32c === 'string' ? crc32c : undefined,
  }
}

function parseMetadata(value: unknown): Readonly<Record<string, string>> {
  if (typeof value !== 'object' || value === null) return {}
  return Object.fromEntries(
    Object.entries(value).filter((entry): entry is [string, string] => typeof entry[1] === 'string'),
  )
}

function isDigits(value: unknown): value is string {
  return typeof value === 'string' && /^\d+$/.test(value)
}
