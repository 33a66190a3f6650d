import type { MessagePort } from 'node:worker_threads'

/** Counters that both threads see, by their place in shared memory. */
export const counter = { published: 0, claimed: 1, isWalked: 2, arrived: 3, made: 4, changed: 5 } as const
export const COUNTERS = Object.keys(counter).length
export const MAX_CHANGED = 4096

/** What the two threads share for the life of a repository. */
export interface SharedState {
  readonly counters: Int32Array<SharedArrayBuffer>
  /** Entries that differ, by their numbers. */
  readonly changed: Int32Array<SharedArrayBuffer>
  /** Length of the pack so far. */
  readonly packBytes: BigInt64Array<SharedArrayBuffer>
}

export interface LeastTask {
  readonly task: 'save' | 'restore' | 'restore over'
  readonly directory: string
}

export interface ThreadData extends SharedState {
  /** 0 walks and makes directories; 1 takes what is published. */
  readonly number: 0 | 1
  /** To the other thread. */
  readonly port: MessagePort
  /** Where the pack and the records lie. */
  readonly repository: string
}

/** Entries as the walk finds them, parents first. */
export interface EntryBatch {
  readonly names: readonly string[]
  /** `FIELDS` numbers for each. */
  readonly stats: Float64Array
  /** Text of symbolic links, `''` for others. */
  readonly links: readonly string[]
}

export const FIELDS = 3
export const field = { size: 0, mtimeMs: 1, mode: 2 } as const

export function waitFor(counters: Int32Array, index: number, isEnough: (value: number) => boolean): void {
  for (let value = Atomics.load(counters, index); !isEnough(value); value = Atomics.load(counters, index))
    Atomics.wait(counters as Int32Array<SharedArrayBuffer>, index, value)
}

export function raise(counters: Int32Array, index: number, by = 1): number {
  const before = Atomics.add(counters, index, by)
  Atomics.notify(counters, index)
  return before
}

/** Both have to come before either goes on. */
export function meet(counters: Int32Array, times: number): void {
  raise(counters, counter.arrived)
  waitFor(counters, counter.arrived, (value) => value >= 2 * times)
}
