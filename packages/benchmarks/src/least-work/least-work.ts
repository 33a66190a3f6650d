import { once } from 'node:events'
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { MessageChannel, Worker } from 'node:worker_threads'
import type { BackupRepository, BackupTool } from '../backup-tools.ts'
import { megabytesIn } from '../walk-tree.ts'
import { COUNTERS, MAX_CHANGED, type LeastTask, type SharedState, type ThreadData } from './shared-state.ts'

/**
 * The least work in Node, in two threads, that ends with what a save or a load ends with: calls of the file system that
 * wait, memory that is made once, no versions, no format, no checks of what somebody else does meanwhile. Nobody could use
 * it; it shows how much of the time is the runtime's and the system's.
 *
 * A first save lists and looks at everything, reads, hashes (SHA-256) and compresses each file, writes one pack, and syncs
 * pack and record. Later ones look at everything whose name is known, and read, hash and store what has changed. A restore
 * into an empty directory makes everything of the first save again, each piece checked, modes and times set; one over a
 * full directory looks at everything and replaces what differs.
 */
export const leastWork: BackupTool = {
  name: 'least in Node, 2 threads',
  programs: [],
  isIncremental: true,
  deduplicates: false,
  isExtra: false,
  loadsOver: true,
  open: openRepository,
}

function openRepository(directory: string): BackupRepository {
  const shared: SharedState = {
    counters: new Int32Array(new SharedArrayBuffer(COUNTERS * 4)),
    changed: new Int32Array(new SharedArrayBuffer(MAX_CHANGED * 4)),
    packBytes: new BigInt64Array(new SharedArrayBuffer(8)),
  }
  const threads: Worker[] = []
  const run = async (task: LeastTask): Promise<void> => {
    shared.counters.fill(0)
    const answers = threads.map((thread) => once(thread, 'message'))
    for (const thread of threads) {
      thread.ref()
      thread.postMessage(task)
    }
    await Promise.all(answers)
    // What is measured ends with the rounds, not with a call.
    for (const thread of threads) thread.unref()
  }
  return {
    async initialize() {
      mkdirSync(join(directory, 'records'))
      writeFileSync(join(directory, 'pack'), '')
      const { port1, port2 } = new MessageChannel()
      for (const [number, port] of [port1, port2].entries()) {
        const workerData = { ...shared, number, port, repository: directory } as ThreadData
        const thread = new Worker(new URL('./least-thread.ts', import.meta.url), {
          workerData,
          transferList: [port],
        })
        await once(thread, 'online')
        thread.unref()
        threads.push(thread)
      }
    },
    save: (tree) => run({ task: 'save', directory: tree }),
    // Asked here: each thread would see what the other one has begun to make.
    restore(destination) {
      const isEmpty = readdirSync(destination).length === 0
      return run({ task: isEmpty ? 'restore' : 'restore over', directory: destination })
    },
    storedMegabytes: () => megabytesIn(directory),
  }
}
