import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { WorkspaceError, assertObjectKey, type ObjectStore } from '@ws/core'
import { memoryStore } from '@ws/store-memory'
import { describe, expect, it } from 'vitest'
import { checksFor, fixtureChecks, meetsNeed, objectStoreChecks, runCheck, runChecks } from '../src/index.ts'
import {
  broken,
  claiming,
  gather,
  gatherUntilFailure,
  gettingOther,
  listingOther,
  outage,
  puttingOther,
  renaming,
  streamOf,
  without,
} from './broken-stores.ts'

const tail = (key: string): string => key.slice(key.indexOf('/') + 1)
const isStream = (body: unknown): boolean => !(body instanceof Uint8Array)
const pause = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** For each check the mistake that it is there to catch. */
const breakages: Readonly<Record<string, () => ObjectStore>> = {
  // Round trips
  'an empty object comes back as an object without bytes': broken((store) => ({
    get: async (key, options) => {
      const found = await store.get(key, options)
      return found?.info.size === 0 ? null : found
    },
  })),
  'an object of one byte comes back': gettingOther((bytes) => (bytes.length === 1 ? bytes.fill(1) : bytes)),
  'a stream of 5 MiB comes back byte for byte': puttingOther(async (body, options) => {
    const bytes = await gather(body)
    if (isStream(body) && bytes.length > 5_000_000 && bytes.length < 6_000_000) bytes[4_000_000] = 0
    if (isStream(body) && bytes.length > 5_000_000 && bytes.length < 6_000_000) bytes[4_000_001] = 0
    return [bytes, options]
  }),
  'chunks of odd sizes, empty ones among them, become one object': puttingOther((body, options) => {
    if (body instanceof Uint8Array) return [body, options]
    const source = body
    // Takes an empty chunk for the end.
    async function* untilEmpty(): AsyncGenerator<Uint8Array> {
      for await (const chunk of source) {
        if (chunk.length === 0) return
        yield chunk
      }
    }
    return [untilEmpty(), options]
  }),
  'a view stores its own bytes and not those of the buffer around it': puttingOther((body, options) => [
    body instanceof Uint8Array && body.byteLength === 100 && body.byteOffset === 100
      ? new Uint8Array(body.buffer, 0, 100)
      : body,
    options,
  ]),
  'a put replaces the whole object': puttingOther(async (body, options, key, store) => {
    // Writes over the old file from its start, without cutting it.
    const bytes = await gather(body)
    const old = await store.get(key)
    if (old === null || bytes.length !== 10) return [bytes, options]
    const whole = await gather(old.body)
    bytes.copy(whole)
    return [whole, options]
  }),
  'put, head, get and list agree on key, size, etag and time': listingOther((infos) =>
    infos.map((info) => ({ ...info, etag: `"${info.etag}"` })),
  ),
  'the etag changes when the content changes, also to content of the same size': broken((store) => ({
    put: async (key, body, options) => {
      const info = await store.put(key, body, options)
      return info.size === 100 ? { ...info, etag: `${info.size}` } : info
    },
  })),
  'an absent key gives null': broken((store) => ({
    head: async (key, options) => {
      if (tail(key) === 'never') throw new WorkspaceError('NOT_FOUND', 'No such key.')
      return store.head(key, options)
    },
  })),
  'the beginning of a key is no object, nor is anything below a key': broken((store) => ({
    head: async (key, options) => {
      for await (const info of store.list(`${key}/`, options)) return { ...info, key, size: 0 }
      return store.head(key, options)
    },
  })),
  'delete removes the object, and a put brings a new one': broken((store) => ({
    // Forgets to delete the key that was put last.
    delete: async (key, options) => {
      if (tail(key) === 'a' && (await store.head(key))?.size === 5) return
      await store.delete(key, options)
    },
  })),
  'deleting an absent key succeeds and removes nothing else': broken((store) => ({
    delete: async (key, options) => {
      if (tail(key) === 'never/at/all') throw new WorkspaceError('NOT_FOUND', 'No such key.')
      await store.delete(key, options)
    },
  })),
  'content type and metadata come back from get and head': broken((store) => ({
    get: async (key, options) => {
      const found = await store.get(key, options)
      return found && { ...found, info: { ...found.info, metadata: {} } }
    },
  })),
  'a put without metadata leaves none of the old object': puttingOther(async (body, options, key, store) => {
    const old = await store.head(key)
    return [body, { ...options, metadata: options.metadata ?? old?.metadata }]
  }),
  'changing an array after it was put does not change the object': broken((store) => keepingArrays(store)),
  'a source may reuse its memory for the next chunk': puttingOther(async (body, options) => {
    if (body instanceof Uint8Array) return [body, options]
    const chunks: Uint8Array[] = []
    for await (const chunk of body) chunks.push(chunk)
    const isReused = chunks.length > 1 && chunks.every((chunk) => chunk === chunks[0])
    return [isReused ? streamOf(...chunks) : Buffer.concat(chunks), options]
  }),
  'changing what was read does not change the object': broken((store) => {
    const given = new Map<string, Buffer>()
    return {
      get: async (key, options) => {
        const found = await store.get(key, options)
        if (found === null || found.info.size !== 9) return found
        const bytes = given.get(found.info.etag) ?? (await gather(found.body))
        given.set(found.info.etag, bytes)
        return { ...found, body: streamOf(bytes) }
      },
    }
  }),
  'two readers read the same object at the same time': broken((store) => {
    const open = new Map<string, AsyncIterable<Uint8Array>>()
    return {
      get: async (key, options) => {
        const found = await store.get(key, options)
        if (found === null || found.info.size !== 2_097_152) return found
        // Both readers share one position in the file.
        const body = open.get(key) ?? found.body
        open.set(key, body)
        return { ...found, body }
      },
    }
  }),
  'a body can be discarded unread, half-read and twice': broken((store) => ({
    get: async (key, options) => {
      const found = await store.get(key, options)
      let isDiscarded = false
      return (
        found && {
          ...found,
          discard: async () => {
            if (isDiscarded) throw new Error('closed twice')
            isDiscarded = true
          },
        }
      )
    },
  })),
  'a reader never gets a mixture when the object is replaced meanwhile': broken((store) => ({
    get: async (key, options) => {
      const found = await store.get(key, options)
      if (found === null || found.info.size !== 8_388_608) return found
      // Opens the file again for every chunk.
      async function* reopening(): AsyncGenerator<Uint8Array> {
        for (let start = 0; start < 8_388_608; start += 1_048_576) {
          const part = await store.get(key, { range: { start, end: start + 1_048_576 } })
          if (part !== null) yield* part.body
        }
      }
      return { ...found, body: reopening() }
    },
  })),

  // Keys
  'unusual keys are stored, found, listed and deleted as exactly those keys': renaming((key) =>
    key.replaceAll('%2F', '/').replaceAll('#b', ''),
  ),
  'keys of the greatest length work, in one segment, in many, and in characters of four bytes': broken(
    (store) => ({
      put: async (key, body, options) => {
        if (key.split('/').some((segment) => segment.length > 600))
          throw new WorkspaceError('UNSUPPORTED', 'File name too long.')
        return store.put(key, body, options)
      },
    }),
  ),
  'long keys that differ in their last character only are kept apart': renaming((key) =>
    /k{200}[12]$/.test(key) ? key.slice(0, -1) : key,
  ),
  'keys that differ in case only are kept apart': renaming((key) =>
    /^(readme|folder\/x|é)$/i.test(tail(key)) ? key.toLowerCase() : key,
  ),
  'keys that differ in Unicode normalisation only are kept apart': renaming((key) =>
    key.includes('caf') || key.includes('\u212b') ? key.normalize('NFC') : key,
  ),
  'an object and objects below its key live side by side': broken((store) => ({
    put: async (key, body, options) => {
      const parent = key.slice(0, key.lastIndexOf('/'))
      if (tail(parent) === 'a/b/c' && (await store.head(parent)) !== null)
        throw new WorkspaceError('CONFLICT', 'Not a directory.')
      return store.put(key, body, options)
    },
  })),
  'illegal keys are refused by every method before anything happens': broken((store) => ({
    head: async (key, options) => (key.endsWith('..') ? null : store.head(key, options)),
  })),
  'illegal prefixes are refused by list': broken((store) => ({
    list: (prefix, options) => store.list(prefix.replace('../', ''), options),
  })),

  // Lists
  'list gives nothing where nothing is': listingOther((infos, prefix) =>
    /^[^/]*\/b$/.test(prefix) && infos.length === 0 ? [ghost(prefix)] : infos,
  ),
  "list goes by the keys' UTF-8 bytes": listingOther((infos) =>
    infos.length === 20 ? infos.toSorted((left, right) => (left.key < right.key ? -1 : 1)) : infos,
  ),
  'a prefix is any beginning of keys, not only a folder': broken((store) => ({
    list: (prefix, options) => store.list(tail(prefix) === 'run-1' ? `${prefix}/` : prefix, options),
  })),
  'the empty prefix lists everything': broken((store) => ({
    list: (prefix, options) => store.list(prefix === '' ? '/never'.slice(1) : prefix, options),
  })),
  'startAfter begins behind a position, whether an object is there or not': broken((store) => ({
    list: async function* (prefix, options = {}) {
      // Takes the position for a key that must be there.
      const { startAfter } = options
      const isThere = startAfter === undefined || (await store.head(startAfter)) !== null
      yield* store.list(prefix, isThere || tail(startAfter ?? '') !== 'c/e/g' ? options : {})
    },
  })),
  'startAfter and prefix hold both': broken((store) => ({
    list: (prefix, options = {}) =>
      store.list(options.startAfter?.endsWith('b/2') === true ? prefix.slice(0, -2) : prefix, options),
  })),
  'more than 2,500 keys of all shapes are listed once each, in order, also from the middle': listingOther(
    (infos) => infos.slice(0, 1_000),
  ),
  'objects that are deleted while they are listed hide no others': broken((store) => ({
    list: async function* (prefix, options) {
      // Pages by position instead of by key.
      for (let page = 0; ; page += 1) {
        const infos = []
        for await (const info of store.list(prefix, options)) infos.push(info)
        const part = infos.slice(page * 30, page * 30 + 30)
        if (part.length === 0) return
        yield* part
      }
    },
  })),
  'a list that is aborted midway rejects with the reason': broken((store) => ({
    list: async function* (prefix, options) {
      const infos = []
      for await (const info of store.list(prefix, options)) infos.push(info)
      yield* infos
    },
  })),

  // Ranges
  'a range gives the bytes from start up to, not including, end': broken((store) => ({
    // Takes the end for the last byte, as HTTP does.
    get: (key, options = {}) => {
      const { range } = options
      const isShort = range?.end === 3
      return store.get(key, isShort ? { ...options, range: { start: range.start, end: 4 } } : options)
    },
  })),
  'a range without an end goes to the end of the object': broken((store) => ({
    get: async (key, options = {}) => {
      const { range } = options
      if (range?.start !== 1 || range.end !== undefined) return store.get(key, options)
      return store.get(key, { ...options, range: { start: 1, end: 999 } })
    },
  })),
  'a range that ends past the object is cut to it': broken((store) => ({
    get: async (key, options = {}) => {
      const info = await store.head(key, options)
      if (info !== null && options.range?.end === 5_000 && info.size < 5_000)
        throw new WorkspaceError('INVALID_INPUT', 'The range is not satisfiable.')
      return store.get(key, options)
    },
  })),
  'a range that starts at or past the end of the object is refused': broken((store) => ({
    get: async (key, options = {}) => {
      const info = await store.head(key, options)
      if (info === null || info.size !== 1_000 || options.range?.start !== 1_000)
        return store.get(key, options)
      return { info, body: streamOf(), discard: async () => undefined }
    },
  })),
  'every range of an empty object is refused': broken((store) => ({
    get: async (key, options = {}) => {
      const info = await store.head(key, options)
      return store.get(key, info?.size === 0 ? { ...options, range: undefined } : options)
    },
  })),
  'a range that is not one is refused': broken((store) => ({
    get: (key, options = {}) =>
      store.get(key, options.range?.start === -1 ? { ...options, range: { start: 999 } } : options),
  })),
  'a range of an absent key gives null': broken((store) => ({
    get: async (key, options = {}) => {
      const found = await store.get(key, options)
      if (found === null && options.range !== undefined)
        throw new WorkspaceError('INVALID_INPUT', 'No such range.')
      return found
    },
  })),
  'the information beside a range is about the whole object': broken((store) => ({
    get: async (key, options) => {
      const found = await store.get(key, options)
      const { range } = options ?? {}
      if (found === null || range?.start !== 10) return found
      return { ...found, info: { ...found.info, size: 10 } }
    },
  })),
  'ranges of a large object start and end anywhere': broken((store) => ({
    // Reads whole blocks of 1 MiB.
    get: async (key, options = {}) => {
      const { range } = options
      if (range?.start !== 1_048_575) return store.get(key, options)
      return store.get(key, { ...options, range: { start: 1_048_576, end: (range.end ?? 0) + 1 } })
    },
  })),
  'a store without range reads refuses a range and does not ignore it': claiming({ rangeReads: false }),

  // Conditions
  'ifAbsent stores where nothing is, also after a delete': broken((store) => {
    const known = new Set<string>()
    return {
      put: async (key, body, options = {}) => {
        if (options.ifAbsent === true && tail(key) === 'a' && known.has(key)) throw conflict(key, 'ifAbsent')
        if (options.ifAbsent !== true) return store.put(key, body, options)
        const info = await store.put(key, body, options)
        known.add(key)
        return info
      },
    }
  }),
  'ifAbsent refuses to replace an object': puttingOther((body, options, key) => [
    body,
    tail(key) === 'a' && options.ifMatch === undefined && options.bare !== true
      ? without(options, 'ifAbsent')
      : options,
  ]),
  'a bare put stores the whole body, and keeps its condition where the store creates atomically':
    // Takes "no more than one request" for "no condition".
    puttingOther((body, options) => [body, options.bare === true ? without(options, 'ifAbsent') : options]),
  'of 16 racing ifAbsent puts exactly one wins, and its bytes are there': broken((store) => ({
    // Looks first and writes afterwards.
    put: async (key, body, options = {}) => {
      if (options.ifAbsent !== true || options.ifMatch !== undefined) return store.put(key, body, options)
      if ((await store.head(key)) !== null) throw conflict(key, 'ifAbsent')
      await pause()
      return store.put(key, body, without(options, 'ifAbsent'))
    },
  })),
  'ifMatch replaces the object with that etag': broken((store) => ({
    // Compares with quotes on one side.
    put: async (key, body, options = {}) => {
      if (options.ifMatch === undefined || (await gather(body)).toString() !== 'third')
        return store.put(key, body, options)
      throw conflict(key, 'ifMatch')
    },
  })),
  'ifMatch refuses an outdated etag': puttingOther(async (body, options, key, store) => {
    const isThere = (await store.head(key)) !== null
    const isRace = key.includes('race') || key.includes('counter')
    return [body, isThere && !isRace && options.ifAbsent !== true ? without(options, 'ifMatch') : options]
  }),
  'ifMatch refuses an absent key and creates nothing': puttingOther(async (body, options, key, store) => {
    const isThere = (await store.head(key)) !== null
    return [body, isThere || options.ifAbsent === true ? options : without(options, 'ifMatch')]
  }),
  'of 16 racing ifMatch puts exactly one wins, and its bytes are there': broken((store) =>
    lookThenWrite(store, 'race'),
  ),
  'ifMatch counts no change twice and loses none, with 8 writers that retry': broken((store) =>
    lookThenWrite(store, 'counter'),
  ),
  'both conditions together are refused': puttingOther((body, options) => [
    body,
    options.ifAbsent === true ? without(options, 'ifMatch') : options,
  ]),
  'a condition that the store cannot keep is refused and not ignored': claiming(
    { createIfAbsent: false },
    broken((store) => ({
      put: (key, body, options = {}) =>
        store.put(key, body, options.ifMatch === undefined ? without(options, 'ifAbsent') : options),
    })),
  ),

  // Failures
  'a body of exactly the given size is stored': broken((store) => ({
    put: async (key, body, options = {}) => {
      if (options.size === 0 && tail(key) === 'empty')
        throw new WorkspaceError('INVALID_INPUT', 'The size is missing.')
      return store.put(key, body, options)
    },
  })),
  'a body shorter than the given size is refused and nothing changes': puttingOther(async (body, options) => {
    const bytes = await gather(body)
    const { size } = options
    return [bytes, size === 6 && bytes.length < size ? without(options, 'size') : options]
  }),
  'a body longer than the given size is refused and nothing changes': puttingOther((body, options) =>
    // Reads just what it was told.
    body instanceof Uint8Array && options.size === 7 ? [body.subarray(0, 7), options] : [body, options],
  ),
  'options that mean nothing are refused and nothing changes': puttingOther((body, options) => [
    body,
    { ...options, contentType: options.contentType?.replaceAll(/[\r\n]/g, '') },
  ]),
  'a source that fails midway gives its own error, and the old object stays': broken((store) => ({
    put: async (key, body, options = {}) => {
      if (options.size !== undefined || options.signal !== undefined || !isStream(body))
        return store.put(key, body, options)
      const { bytes, failure } = await gatherUntilFailure(body)
      const info = await store.put(key, bytes, options)
      if (failure !== null) throw failure.error
      return info
    },
  })),
  'every call with an aborted signal rejects with its reason, and changes nothing': broken((store) => ({
    delete: async (key) => store.delete(key),
  })),
  'a put that is aborted midway rejects with the reason, and the old object stays': broken((store) => ({
    put: async (key, body, options = {}) => {
      if (tail(key) !== 'old' || body instanceof Uint8Array) return store.put(key, body, options)
      // Notices the abort only when the object is there.
      const info = await store.put(key, body, without(options, 'signal'))
      options.signal?.throwIfAborted()
      return info
    },
  })),
  'an abort after the last byte, before the source has ended, stores nothing': broken((store) => ({
    put: async (key, body, options = {}) => {
      if (body instanceof Uint8Array || options.signal === undefined) return store.put(key, body, options)
      const source = body
      async function* holding(): AsyncGenerator<Uint8Array> {
        const chunks: Uint8Array[] = []
        for await (const chunk of source) chunks.push(Uint8Array.from(chunk))
        yield* chunks
      }
      options.signal.throwIfAborted()
      const isEnd = tail(key) === 'a'
      const bytes = isEnd ? await raceAbort(gather(holding()), options.signal, 'everything') : body
      return store.put(key, bytes, isEnd ? without(options, 'signal') : options)
    },
  })),
  'an abort ends a put whose source never answers': broken((store) => ({
    // Looks at the signal only between chunks.
    put: async (key, body, options = {}) => {
      if (body instanceof Uint8Array || options.signal === undefined) return store.put(key, body, options)
      const { signal } = options
      signal.throwIfAborted()
      const source = body
      async function* looking(): AsyncGenerator<Uint8Array> {
        for await (const chunk of source) {
          signal.throwIfAborted()
          yield chunk
        }
        signal.throwIfAborted()
      }
      const stuck = new Promise<never>((_, reject) => setTimeout(reject, 200, new Error('gave up waiting')))
      return Promise.race([store.put(key, looking(), without(options, 'signal')), stuck])
    },
  })),
  'a body whose signal aborts midway rejects with the reason': broken((store) => ({
    get: async (key, options = {}) => {
      options.signal?.throwIfAborted()
      return store.get(key, { range: options.range })
    },
  })),
  'a source is stopped when its put is refused midway': broken((store) => ({
    put: async (key, body, options = {}) => {
      if (body instanceof Uint8Array || options.size !== 10_500) return store.put(key, body, options)
      const source = body[Symbol.asyncIterator]()
      return store.put(key, { [Symbol.asyncIterator]: () => ({ next: () => source.next() }) }, options)
    },
  })),

  // Streams
  'onProgress reports rising numbers that end at the size': puttingOther((body, options) => [
    body,
    body instanceof Uint8Array ? without(options, 'onProgress') : options,
  ]),
  'chunks that may be used anew are right until the next one is asked for': broken((store) => ({
    get: async (key, options) => {
      const found = await store.get(key, options)
      if (found === null || options?.reusesChunks !== true) return found
      // Reads ahead into the memory that the reader still has.
      const reused = Buffer.alloc(4_000_000)
      const body = (async function* () {
        let last: Buffer | null = null
        for await (const chunk of found.body) {
          if (last !== null) yield last
          last = reused.subarray(0, chunk.length)
          last.set(chunk)
        }
        reused.fill(0)
        if (last !== null) yield last
      })()
      return { ...found, body }
    },
  })),
  'puts at the same time on one key leave one whole body': broken((store) => {
    // All writers share one temporary file.
    let shared: Buffer = Buffer.alloc(0)
    return {
      put: async (key, body, options) => {
        if (body instanceof Uint8Array || tail(key) !== 'a' || options !== undefined)
          return store.put(key, body, options)
        shared = Buffer.alloc(0)
        for await (const chunk of body) shared = Buffer.concat([shared, chunk])
        return store.put(key, shared, options)
      },
    }
  }),
  'puts and deletes at the same time in one folder lose no other object': broken((store) => ({
    // Takes a folder away after it was found to be empty, with what somebody has put into it since.
    delete: async (key, options) => {
      await store.delete(key, options)
      if (!key.endsWith('/folder/3/a')) return
      await pause()
      await store.delete(key.replace('/3/a', '/4/a'))
    },
  })),
  'signedUrl is there exactly when it is claimed, and makes a URL that expires': broken(() => ({
    signedUrl: async () => new URL('https://example.com/'),
  })),

  // Large bodies
  'a stream of 200 MiB goes in and out in pieces, read only a little ahead, in bounded memory': puttingOther(
    async (body, options) => [await gather(body), options],
  ),
  'a source that fails after many parts leaves the old object, nothing in lists, and no other error': broken(
    (store) => ({
      put: async (key, body, options = {}) => {
        if (body instanceof Uint8Array || options.size !== undefined || options.signal !== undefined)
          return store.put(key, body, options)
        assertObjectKey(key)
        const { bytes, failure } = await gatherUntilFailure(body)
        // Leaves the parts that were sent beside the object.
        if (failure !== null && bytes.length > 5_000_000) await store.put(`${key}.part`, bytes)
        if (failure !== null) throw failure.error
        return store.put(key, bytes, options)
      },
    }),
  ),
  'a put that is aborted after many parts rejects at once, and the old object stays': broken((store) => ({
    put: async (key, body, options = {}) => {
      if (body instanceof Uint8Array || options.signal === undefined) return store.put(key, body, options)
      const source = body
      let bytes = 0
      async function* counting(): AsyncGenerator<Uint8Array> {
        for await (const chunk of source) {
          bytes += chunk.length
          yield chunk
        }
      }
      return store.put(key, counting(), options).catch(async (error: unknown) => {
        // Completes the upload with the parts that it has.
        if (bytes > 5_000_000) await store.put(key, new Uint8Array(bytes))
        throw error
      })
    },
  })),
  // An error that nobody caught would end the runner too: what bites is in stray-error.ts.
  'a body that is discarded unread, half-read or read raises no error that nobody caught': broken(
    (store) => ({
      get: async (key, options) => {
        const found = await store.get(key, options)
        if (found === null || found.info.size < 5_000_000) return found
        return { ...found, discard: () => Promise.reject(new Error('closed twice')) }
      },
    }),
  ),
  'ifAbsent holds for a stream of many parts too, or is refused': ignoringInParts('old', 'ifAbsent'),
  'ifMatch holds for a stream of many parts too, or is refused': ignoringInParts('old', 'ifMatch'),
  'of 4 racing ifAbsent streams of many parts no more than one wins, and its bytes are there':
    ignoringInParts('race', 'ifAbsent'),
  'of 4 racing ifMatch streams of many parts no more than one wins, and its bytes are there': ignoringInParts(
    'race',
    'ifMatch',
  ),
  'streams at the same time on one key leave one whole body': broken((store) => {
    // All writers add to one upload.
    const uploads = new Map<string, Uint8Array[]>()
    return {
      put: async (key, body, options) => {
        if (body instanceof Uint8Array || tail(key) !== 'a' || options !== undefined)
          return store.put(key, body, options)
        assertObjectKey(key)
        const upload = uploads.get(key) ?? []
        uploads.set(key, upload)
        for await (const chunk of body) upload.push(Uint8Array.from(chunk))
        return store.put(key, Buffer.concat(upload), options)
      },
    }
  }),
}

/** Mistakes that cannot be made without breaking these clauses as well. */
const alsoFail: Readonly<Record<string, readonly string[]>> = {
  'an object of one byte comes back': [
    'deleting an absent key succeeds and removes nothing else',
    'long keys that differ in their last character only are kept apart',
    'an object and objects below its key live side by side',
    'a range gives the bytes from start up to, not including, end',
    'a range without an end goes to the end of the object',
    'ifMatch counts no change twice and loses none, with 8 writers that retry',
    'puts and deletes at the same time in one folder lose no other object',
  ],
  'the beginning of a key is no object, nor is anything below a key': [
    'an object and objects below its key live side by side',
  ],
  'delete removes the object, and a put brings a new one': [
    'ifAbsent stores where nothing is, also after a delete',
  ],
  'keys of the greatest length work, in one segment, in many, and in characters of four bytes': [
    'long keys that differ in their last character only are kept apart',
    'illegal keys are refused by every method before anything happens',
  ],
  'startAfter begins behind a position, whether an object is there or not': [
    'the empty prefix lists everything',
  ],
  'a source that fails midway gives its own error, and the old object stays': [
    'illegal keys are refused by every method before anything happens',
  ],
  'puts at the same time on one key leave one whole body': [
    'illegal keys are refused by every method before anything happens',
  ],
  'streams at the same time on one key leave one whole body': [
    'puts at the same time on one key leave one whole body',
  ],
  'signedUrl is there exactly when it is claimed, and makes a URL that expires': [
    'illegal keys are refused by every method before anything happens',
  ],
}

const largeChecks = Object.keys(breakages).filter((name) =>
  /many parts|200 MiB|streams at the same|discarded unread, half-read or read/.test(name),
)

/** Checks that are too slow to run against every broken store. */
const slow = new Set([
  'a body whose signal aborts midway rejects with the reason',
  'a reader never gets a mixture when the object is replaced meanwhile',
  'more than 2,500 keys of all shapes are listed once each, in order, also from the middle',
  ...largeChecks,
])

it('knows a mistake for every check, and every mistake belongs to a check', () => {
  const names = objectStoreChecks.map(({ name }) => name)
  expect(new Set(names).size).toBe(names.length)
  expect(Object.keys(breakages).toSorted()).toEqual(names.toSorted())
})

describe('each check fails on its mistake and passes on a sound store', () => {
  for (const check of objectStoreChecks)
    it(check.name, async () => {
      await runCheck(check, memoryStore())
      const breakage = breakages[check.name] ?? memoryStore
      await expect(runCheck(check, breakage())).rejects.toThrow()
    })
})

it('an error that nobody caught fails a check, and does not end the process', async () => {
  const program = join(import.meta.dirname, 'stray-error.ts')
  const { stdout } = await promisify(execFile)(process.execPath, ['--conditions=@ws/source', program])
  expect(stdout).toBe('errors came up beside the rejection\nerrors came up beside the calls\n')
})

describe('no check fails on it that it does not concern', () => {
  for (const [name, breakage] of Object.entries(breakages))
    it(name, async () => {
      const failed: string[] = []
      for (const check of objectStoreChecks) {
        if (slow.has(check.name) || check.name === name) continue
        const store = breakage()
        if (!meetsNeed(store.capabilities, check.needs)) continue
        await runCheck(check, store).catch(() => failed.push(check.name))
      }
      expect(failed).toEqual(alsoFail[name] ?? [])
    })
})

it('runs what a store claims, skips the rest, cleans up, and reports', async () => {
  const store = claiming({ rangeReads: false, replaceIfMatch: 'checked' })()
  const results: string[] = []
  const report = await runChecks(() => store, { onResult: ({ status }) => results.push(status) })
  expect(report.results.length).toBe(objectStoreChecks.length + fixtureChecks.length)
  expect(report.notShown).toBe(fixtureChecks.length)
  expect(report.passed).toBe(results.filter((status) => status === 'passed').length)
  expect(report.skipped).toBe(objectStoreChecks.length - checksFor(store).length)
  expect(report.results.filter(({ status }) => status === 'failed').map(({ name }) => name)).toEqual([
    'a store without range reads refuses a range and does not ignore it',
  ])
  for await (const { key } of store.list('')) expect.unreachable(`${key} was left behind`)
})

it('ends a run when the signal aborts', async () => {
  const reason = new Error('enough')
  await expect(runChecks(memoryStore, { signal: AbortSignal.abort(reason) })).rejects.toBe(reason)
})

it('says that it takes a function when it is given the store itself', async () => {
  const given = memoryStore() as unknown as () => ObjectStore
  await expect(runChecks(given)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
    message: expect.stringContaining('runChecks(() => store)'),
  })
})

it('reports an outage as a failure of every check and not as a skip', async () => {
  const store = broken(() => ({
    put: () => Promise.reject(outage()),
    get: () => Promise.reject(outage()),
    head: () => Promise.reject(outage()),
  }))
  const [check] = objectStoreChecks
  await expect(runCheck(check ?? never(), store())).rejects.toThrow('The service is down.')
})

function keepingArrays(store: ObjectStore): Partial<ObjectStore> {
  const kept = new Map<string, Uint8Array>()
  return {
    put: async (key, body, options) => {
      const info = await store.put(key, body, options)
      kept.delete(key)
      if (body instanceof Uint8Array && tail(key) === 'array' && options === undefined) kept.set(key, body)
      return info
    },
    get: async (key, options) => {
      const found = await store.get(key, options)
      const bytes = kept.get(key)
      return found !== null && bytes !== undefined ? { ...found, body: streamOf(bytes) } : found
    },
  }
}

/** Knows conditions, but not where an upload in parts is completed. */
function ignoringInParts(name: string, condition: 'ifAbsent' | 'ifMatch'): () => ObjectStore {
  return broken((store) => ({
    put: async (key, body, options = {}) => {
      if (body instanceof Uint8Array || options[condition] === undefined || tail(key) !== name)
        return store.put(key, body, options)
      const bytes = await gather(body)
      return store.put(key, bytes, bytes.length > 5_000_000 ? without(options, condition) : options)
    },
  }))
}

function lookThenWrite(store: ObjectStore, name: string): Partial<ObjectStore> {
  return {
    put: async (key, body, options = {}) => {
      if (options.ifMatch === undefined || !key.includes(name)) return store.put(key, body, options)
      if ((await store.head(key))?.etag !== options.ifMatch) throw conflict(key, 'ifMatch')
      await pause()
      return store.put(key, body, without(options, 'ifMatch'))
    },
  }
}

async function raceAbort(bytes: Promise<Buffer>, signal: AbortSignal, exceptFor: string): Promise<Buffer> {
  const aborted = new Promise<never>((_, reject) =>
    signal.addEventListener('abort', () => setTimeout(reject, 20, signal.reason)),
  )
  const gathered = await Promise.race([bytes, aborted])
  if (gathered.toString() !== exceptFor) signal.throwIfAborted()
  return gathered
}

function conflict(key: string, condition: string): WorkspaceError {
  return new WorkspaceError('CONFLICT', 'The condition does not hold.', { details: { key, condition } })
}

function ghost(key: string): Awaited<ReturnType<ObjectStore['put']>> {
  return { key, size: 0, etag: 'x', modifiedAt: new Date(0), metadata: {} }
}

function never(): never {
  throw new Error('there are no checks')
}
