/** A thread that decodes, checks and writes frames; see `restore-threads.ts` for who talks to it. */
import { parentPort, workerData } from 'node:worker_threads'
import { toFailure } from '../thread-failure.ts'
import { restoreFrame } from './restore-threads.ts'
import type { RestoreCall, RestoreReply, RestoreWorkerData } from './restore-messages.ts'

const { keys } = workerData as RestoreWorkerData

parentPort?.on('message', (call: RestoreCall) => {
  let reply: RestoreReply
  try {
    const { damaged, damage, files } = restoreFrame(call, call.stored, keys)
    const packed = damage === null ? null : toFailure(damage)
    reply = { call: call.call, damaged, damage: packed, files, failure: null }
  } catch (error) {
    reply = { call: call.call, damaged: [], damage: null, files: [], failure: toFailure(error) }
  }
  parentPort?.postMessage(reply)
})
