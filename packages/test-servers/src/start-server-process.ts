import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import type { ServedProtocol } from './serve-in-process.ts'

export interface ServerProcess {
  /** What a test prints, so that it is clear what it ran against. */
  readonly name: string
  readonly url: string
  stop(): Promise<void>
}

/**
 * A protocol server in a process of its own: for tests that move so many bytes that the server's memory would be taken
 * for the client's. Ends with the process that started it.
 */
export async function startServerProcess(
  protocol: ServedProtocol,
  options: object = {},
): Promise<ServerProcess> {
  const child = fork(join(import.meta.dirname, 'serve-in-process.ts'), [protocol, JSON.stringify(options)])
  const [told] = (await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(() => Promise.reject(new Error(`The ${protocol} server did not start.`))),
  ])) as [{ name: string; url: string }]
  return {
    ...told,
    async stop() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
    },
  }
}
