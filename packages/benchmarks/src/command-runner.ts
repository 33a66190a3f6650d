import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'

export interface Command {
  readonly file: string
  readonly parameters: readonly string[]
  readonly directory: string
  /** Beside the variables that there are. */
  readonly environment: Readonly<Record<string, string>>
  /** What nobody wants is not read either: some peers name each file. */
  readonly wantsOutput: boolean
}

export interface CommandResult {
  /** `null` when it could not be started, or was killed. */
  readonly code: number | null
  readonly output: string
  readonly complaint: string
}

interface Runner {
  readonly child: ChildProcess
  readonly running: Map<number, PromiseWithResolvers<CommandResult>>
  last: number
}

let runner: Runner | null = null

/**
 * Runs a program from a small process that does nothing else. Where Node starts one, the system copies the tables of its
 * memory (fork): a large process takes long to start anything, which peers would pay, and afterwards each page that it
 * writes to costs it a fault, which ours would pay.
 */
export async function runCommand(command: Command): Promise<CommandResult> {
  const { child, running } = (runner ??= startRunner())
  const result = Promise.withResolvers<CommandResult>()
  const id = (runner.last += 1)
  running.set(id, result)
  child.channel?.ref()
  child.send({ id, command })
  try {
    return await result.promise
  } finally {
    running.delete(id)
    if (running.size === 0) child.channel?.unref()
  }
}

function startRunner(): Runner {
  const child = fork(fileURLToPath(new URL('./command-child.ts', import.meta.url)), { execArgv: [] })
  const running: Runner['running'] = new Map()
  child.on('message', ({ id, result }: { readonly id: number; readonly result: CommandResult }) =>
    running.get(id)?.resolve(result),
  )
  child.on('exit', () => {
    for (const { reject } of running.values()) reject(new Error('The process that runs commands has ended.'))
    runner = null
  })
  child.unref()
  return { child, running, last: 0 }
}
