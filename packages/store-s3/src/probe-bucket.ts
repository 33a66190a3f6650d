import { randomUUID } from 'node:crypto'
import {
  WorkspaceError,
  compareKeys,
  isSignal,
  type CallOptions,
  type ErrorCode,
  type ObjectInfo,
  type OptionNames,
  type PutOptions,
  type StoreCapabilities,
} from '@ws/core'
import { deleteObject } from './delete-object.ts'
import { getObject } from './get-object.ts'
import { headObject } from './head-object.ts'
import { listPageByPage, type ListOrder } from './list-objects.ts'
import { putObject, type ConditionSupport } from './put-object.ts'
import type { S3Calls } from './s3-calls.ts'
import type { ServerSupport } from './server-support.ts'

const RACERS = 8
const MIB = 1_048_576
/** Where orders differ: case, accents, and what UTF-16 sorts otherwise than UTF-8. */
const orderNames = ['A', 'Z', 'a', 'é', '\uffe0', '😀']
const metadata = { probe: 'yes' }

export type ProbeOptions = CallOptions

export const probeOptionNames: OptionNames<ProbeOptions> = { signal: isSignal }

export interface S3Probe {
  /** What the store claims from now on. */
  readonly capabilities: StoreCapabilities
  /** A service that lists in another order can list no more than one page. */
  readonly listsInByteOrder: boolean
}

interface Bench {
  readonly put: (name: string, text: string, options?: PutOptions) => Promise<ObjectInfo>
  /** `null`: it worked; else the code of its error, when that is one of these. */
  readonly refusal: (name: string, options: PutOptions, text?: string) => Promise<ErrorCode | null>
}

/** Tries out what services differ in, with objects of its own below a throwaway prefix. */
export async function probeBucket(calls: S3Calls, signal: AbortSignal | undefined): Promise<ServerSupport> {
  const prefix = `ws-probe-${randomUUID()}/`
  const keys = new Set<string>()
  const put: Bench['put'] = (name, text, options = {}) => {
    keys.add(prefix + name)
    return putObject(
      calls,
      prefix + name,
      Buffer.from(text),
      { signal, ...options },
      {
        partBytes: 8 * MIB,
        singlePutBytes: 8 * MIB,
        parallelParts: 1,
        ifAbsent: 'enforced',
        ifMatch: 'enforced',
      },
    )
  }
  const refusal: Bench['refusal'] = async (name, options, text = name) => {
    try {
      await put(name, text, options)
      return null
    } catch (error) {
      if (WorkspaceError.is(error, 'CONFLICT') || WorkspaceError.is(error, 'UNSUPPORTED')) return error.code
      throw error
    }
  }
  try {
    const { etag } = await put('a', 'a', { metadata })
    return {
      ifAbsent: await probeIfAbsent({ put, refusal }),
      ifMatch: await probeIfMatch({ put, refusal }, etag),
      metadata: (await headObject(calls, `${prefix}a`, signal))?.metadata['probe'] === metadata.probe,
      rangeReads: await probeRanges(calls, `${prefix}range`, put, signal),
      listOrder: await probeOrder(calls, `${prefix}order/`, put, signal),
    }
  } finally {
    await Promise.allSettled([...keys].map((key) => deleteObject(calls, key)))
  }
}

async function probeIfAbsent({ refusal }: Bench): Promise<ConditionSupport> {
  const isKept =
    (await refusal('new', { ifAbsent: true })) === null &&
    (await refusal('new', { ifAbsent: true })) === 'CONFLICT' &&
    (await refusal('a', { ifAbsent: true })) === 'CONFLICT' &&
    (await winners(refusal, 'race-1', { ifAbsent: true })) === 1
  return isKept ? 'enforced' : 'ignored'
}

async function probeIfMatch({ put, refusal }: Bench, etag: string): Promise<ConditionSupport> {
  const { etag: current } = await put('match', 'one')
  const { etag: raced } = await put('race-2', 'one')
  const isKept =
    (await refusal('match', { ifMatch: etag })) === 'CONFLICT' &&
    (await refusal('match', { ifMatch: current }, 'two')) === null &&
    (await refusal('match', { ifMatch: current }, 'three')) === 'CONFLICT' &&
    (await refusal('never', { ifMatch: current })) === 'CONFLICT' &&
    (await winners(refusal, 'race-2', { ifMatch: raced })) === 1
  return isKept ? 'enforced' : 'ignored'
}

async function winners(refusal: Bench['refusal'], name: string, options: PutOptions): Promise<number> {
  const racers = Array.from({ length: RACERS }, (_, index) => refusal(name, options, `racer ${index}`))
  // All of them, so that none is left to put something after the clean-up.
  const outcomes = await Promise.allSettled(racers)
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw outcome.reason
  return outcomes.filter((outcome) => outcome.status === 'fulfilled' && outcome.value === null).length
}

async function probeRanges(
  calls: S3Calls,
  key: string,
  put: Bench['put'],
  signal: AbortSignal | undefined,
): Promise<boolean> {
  await put('range', 'abcdef')
  try {
    const found = await getObject(calls, key, { range: { start: 2, end: 4 }, signal })
    let text = ''
    for await (const chunk of found?.body ?? []) text += Buffer.from(chunk).toString()
    return text === 'cd'
  } catch (error) {
    if (WorkspaceError.is(error, 'UNSUPPORTED')) return false
    throw error
  }
}

/** Pages of one key each: an order that pages follow is one that no key can hide from. */
async function probeOrder(
  calls: S3Calls,
  prefix: string,
  put: Bench['put'],
  signal: AbortSignal | undefined,
): Promise<ListOrder> {
  const within = prefix.slice(prefix.indexOf('/') + 1)
  for (const name of orderNames.toReversed()) await put(within + name, name)
  const listed: string[] = []
  for await (const key of listPageByPage(calls, prefix, 1, signal)) listed.push(key)
  const expected = orderNames.map((name) => prefix + name).toSorted(compareKeys)
  return listed.join('\n') === expected.join('\n') ? 'bytes' : 'other'
}
