/** A thread that decodes, checks and writes frames; see `restore-threads.ts` for who talks to it. */
import { parentPort } from 'node:worker_threads'
import { toFailure } from '../../thread-failure.ts'
import type { ThreadTask } from '../../warm-threads.ts'
import { packWritten, type RestoreCall, type RestoreReply, type RestoreTask } from './restore-messages.ts'
import { restoreFrame } from './restore-threads.ts'

parentPort?.on('message', ({ task, port }: ThreadTask) => {
  const { keys } = task as RestoreTask
  port.on('message', (call: RestoreCall) => {
    let reply: RestoreReply
    try {
      const { damaged, damage, files } = restoreFrame(call, call.stored, keys)
      const packed = damage === null ? null : toFailure(damage)
      reply = { call: call.call, damaged, damage: packed, written: packWritten(files), failure: null }
    } catch (error) {
      const nothing = { damaged: [], damage: null, written: packWritten([]) }
      reply = { call: call.call, ...nothing, failure: toFailure(error) }
    }
    port.postMessage(reply, [reply.written.buffer])
  })
})
