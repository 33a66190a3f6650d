/** A thread that looks at files and directories; see `spread-rows.ts` and `start-walk.ts` for who talks to it. */
import { parentPort, type MessagePort } from 'node:worker_threads'
import type { ThreadTask } from '../../../bundle/warm-threads.ts'
import type { LookTask } from './looking-threads.ts'
import { answerWalk, type WalkAnswer, type WalkTask } from './walk-task.ts'
import { visitRows } from '../table/visit-rows.ts'

parentPort?.on('message', ({ task, port }: ThreadTask) => {
  const work = task as LookTask | WalkTask
  if (work.kind !== 'walk') {
    look(work, port)
    return
  }
  port.once('message', (next: LookTask) => look(next, port))
  void walk(work, port)
})

function look(task: LookTask, port: MessagePort): void {
  try {
    visitRows(task)
  } catch {
    // Whoever asked looks at what is left, and sees the same.
  }
  port.postMessage(null)
}

async function walk(task: WalkTask, port: MessagePort): Promise<void> {
  const answer = await answerWalk(task).catch((): WalkAnswer => ({ walk: null }))
  port.postMessage(answer)
}
