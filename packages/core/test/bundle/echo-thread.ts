/** A thread for the tests of warm threads: answers each message of a conversation with the task and its own number. */
import { parentPort, threadId, type MessagePort } from 'node:worker_threads'

parentPort?.on('message', ({ task, port }: { task: unknown; port: MessagePort }) => {
  port.on('message', (message: unknown) => {
    if (message === 'die') process.exit(1)
    port.postMessage({ task, message, threadId })
  })
})
