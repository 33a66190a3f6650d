import { Buffer, isUtf8 } from 'node:buffer'
import { damagedObject } from './damaged-object.ts'

/** One value of a JSON object that somebody else may have written. Every method throws `CORRUPT` for another type. */
export interface JsonReader {
  /** A field that the object itself has. */
  field(name: string): JsonReader
  /** @param pattern that it must match */
  text(pattern?: RegExp): string
  /** A safe integer from `least` to `most`. */
  integer(least: number, most?: number): number
  boolean(): boolean
  orNull<T>(read: (value: JsonReader) => T): T | null
  list<T>(read: (value: JsonReader) => T): readonly T[]
  /** An object of texts, its keys as they come. */
  texts(): Readonly<Record<string, string>>
  fail(reason: string): never
}

export function readJson(bytes: Uint8Array, object: string): JsonReader {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!isUtf8(buffer)) throw damagedObject(object, 'it is not UTF-8')
  let value: unknown
  try {
    value = JSON.parse(buffer.toString('utf8'))
  } catch (error) {
    throw damagedObject(object, 'it is not JSON', error)
  }
  return readValue(value, object, '')
}

function readValue(value: unknown, object: string, path: string): JsonReader {
  const fail = (reason: string): never => {
    throw damagedObject(object, reason)
  }
  const wrong = (wanted: string): never =>
    fail(`${path === '' ? 'it' : `its field ${path}`} is not ${wanted}`)
  const own = (): object => {
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return wrong('an object')
    return value
  }
  return {
    field(name) {
      const holder = own()
      const inner = path === '' ? name : `${path}.${name}`
      if (!Object.hasOwn(holder, name)) return fail(`its field ${inner} is missing`)
      return readValue(Reflect.get(holder, name), object, inner)
    },
    text(pattern) {
      if (typeof value !== 'string' || !value.isWellFormed()) return wrong('a text')
      return pattern === undefined || pattern.test(value) ? value : wrong('a text of its form')
    },
    integer(least, most = Number.MAX_SAFE_INTEGER) {
      if (typeof value !== 'number' || !Number.isSafeInteger(value)) return wrong('a whole number')
      return value >= least && value <= most ? value : wrong(`a number from ${least} to ${most}`)
    },
    boolean: () => (typeof value === 'boolean' ? value : wrong('true or false')),
    orNull: (read) => (value === null ? null : read(readValue(value, object, path))),
    list(read) {
      if (!Array.isArray(value)) return wrong('a list')
      return value.map((item: unknown, index) => read(readValue(item, object, `${path}[${index}]`)))
    },
    texts() {
      const pairs = Object.entries(own())
      const isText = (pair: [string, unknown]): pair is [string, string] => typeof pair[1] === 'string'
      return pairs.every(isText) ? Object.fromEntries(pairs) : wrong('an object of texts')
    },
    fail,
  }
}
