import { Buffer } from 'node:buffer'
import { randomUUID } from 'node:crypto'
import { WorkspaceError } from '../errors.ts'
import { assertKnownOptions, type OptionNames } from '../known-options.ts'
import { isSignal } from '../option-checks.ts'
import { assertStore } from './assert-store.ts'
import type { ObjectInfo, ObjectStore, PutOptions, StoreCapabilities } from './object-store.ts'
import { weakerCondition, withCapabilities } from './with-capabilities.ts'
import { withPrefix } from './with-prefix.ts'

const RACERS = 16
const RACES = 3

export interface ProbeStoreOptions {
  /** Ends the probe; what it has put is removed even so. @default never */
  readonly signal?: AbortSignal | undefined
}

const probeStoreOptionNames: OptionNames<ProbeStoreOptions> = { signal: isSignal }

type Strength = StoreCapabilities['createIfAbsent']

/** What the store says of one of its conditions, and what it did when asked. */
export interface ProbeFinding {
  readonly capability: 'createIfAbsent' | 'replaceIfMatch'
  readonly claimed: Strength
  /** A race with one winner is taken for `'atomic'`. */
  readonly found: Strength
  /** A sentence about what was seen. */
  readonly evidence: string
}

export interface StoreProbe {
  /** The store's own claims, each condition no stronger than what was found. */
  readonly capabilities: StoreCapabilities
  readonly findings: readonly ProbeFinding[]
  /** The claims that are stronger than what was found. */
  readonly tooStrong: readonly ProbeFinding[]
  /** The same store, with honest claims and kept to them. */
  readonly store: ObjectStore
}

/**
 * Asks a live store what its conditions are worth. Some gateways accept `If-None-Match` and ignore it, so that the last
 * of two writers silently wins; others test it first and write afterwards. The probe puts about 120 objects of a few bytes
 * below a throwaway prefix, `ws-probe-<uuid>/`, and removes them.
 *
 * A race shows that a condition is not atomic; it cannot prove that it is.
 *
 * @throws what the store throws, when the answer to a probe is neither success nor a refusal
 */
export async function probeStore(store: ObjectStore, options: ProbeStoreOptions = {}): Promise<StoreProbe> {
  assertStore('probeStore', store)
  assertKnownOptions('probeStore', options, probeStoreOptionNames)
  const { signal } = options
  const scratch = withPrefix(store, `ws-probe-${randomUUID()}`)
  try {
    const create = await probeCreate(scratch, signal)
    const replace = await probeReplace(scratch, signal)
    const honest = withCapabilities(store, { createIfAbsent: create.found, replaceIfMatch: replace.found })
    const findings = [create, replace]
    const tooStrong = findings.filter(({ claimed, found }) => weakerCondition(claimed, found) !== claimed)
    return { capabilities: honest.capabilities, findings, tooStrong, store: honest }
  } finally {
    for await (const { key } of scratch.list('')) await scratch.delete(key)
  }
}

type PutWith = (key: string, content: string, options?: PutOptions) => Promise<ObjectInfo | Refusal>

/** The store's refusal of a condition, as a value. */
type Refusal = 'CONFLICT' | 'UNSUPPORTED'

function putter(store: ObjectStore, signal: AbortSignal | undefined): PutWith {
  return async (key, content, options) => {
    try {
      return await store.put(key, Buffer.from(content), { ...options, signal })
    } catch (error) {
      if (WorkspaceError.is(error, 'CONFLICT')) return 'CONFLICT'
      if (WorkspaceError.is(error, 'UNSUPPORTED')) return 'UNSUPPORTED'
      throw error
    }
  }
}

async function probeCreate(store: ObjectStore, signal: AbortSignal | undefined): Promise<ProbeFinding> {
  const claimed = store.capabilities.createIfAbsent
  const put = putter(store, signal)
  const finding = (found: Strength, evidence: string): ProbeFinding => ({
    capability: 'createIfAbsent',
    claimed,
    found,
    evidence,
  })
  const first = await put('create', 'first', { ifAbsent: true })
  if (first === 'UNSUPPORTED') return finding(false, 'the store refuses the condition')
  if (first === 'CONFLICT') return finding(false, 'the condition fails where nothing is')
  if ((await put('create', 'second', { ifAbsent: true })) !== 'CONFLICT')
    return finding(false, 'the condition is ignored: a second put replaced the object')
  return race(put, finding, async (name) => ({ key: `create-${name}`, options: { ifAbsent: true } }))
}

async function probeReplace(store: ObjectStore, signal: AbortSignal | undefined): Promise<ProbeFinding> {
  const claimed = store.capabilities.replaceIfMatch
  const put = putter(store, signal)
  const finding = (found: Strength, evidence: string): ProbeFinding => ({
    capability: 'replaceIfMatch',
    claimed,
    found,
    evidence,
  })
  const old = await store.put('replace', Buffer.from('first'), { signal })
  const current = await put('replace', 'second', { ifMatch: old.etag })
  if (current === 'UNSUPPORTED') return finding(false, 'the store refuses the condition')
  if (current === 'CONFLICT') return finding(false, 'the condition fails with the current etag')
  if ((await put('replace', 'third', { ifMatch: old.etag })) !== 'CONFLICT')
    return finding(false, 'the condition is ignored: a put with an outdated etag replaced the object')
  if ((await put('replace-absent', 'first', { ifMatch: old.etag })) !== 'CONFLICT')
    return finding(false, 'the condition is ignored: a put with an etag created an object')
  return race(put, finding, async (name) => {
    const { etag } = await store.put(`replace-${name}`, Buffer.from('before'), { signal })
    return { key: `replace-${name}`, options: { ifMatch: etag } }
  })
}

async function race(
  put: PutWith,
  finding: (found: Strength, evidence: string) => ProbeFinding,
  prepare: (name: string) => Promise<{ readonly key: string; readonly options: PutOptions }>,
): Promise<ProbeFinding> {
  for (let number = 0; number < RACES; number += 1) {
    const { key, options } = await prepare(`race-${number}`)
    // All of them, so that none is left to put something after the clean-up.
    const outcomes = await Promise.allSettled(
      Array.from({ length: RACERS }, (_, racer) => put(key, `racer ${racer}`, options)),
    )
    let winners = 0
    for (const outcome of outcomes) {
      if (outcome.status === 'rejected') throw outcome.reason
      if (typeof outcome.value !== 'string') winners += 1
    }
    if (winners > 1) return finding('checked', `${winners} of ${RACERS} racing puts were told that they won`)
  }
  return finding('atomic', `of ${RACERS} racing puts one won, ${RACES} times`)
}
