import { fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { S3TestClientConfig } from '@ws/test-servers'

const child = fileURLToPath(new URL('./cloud-child.ts', import.meta.url))

/** Where a service is, as JSON. */
export type CloudConnection =
  | {
      readonly kind: 's3'
      readonly bucket: string
      readonly clientConfig: S3TestClientConfig
      readonly conditions: 'enforced' | 'unknown'
    }
  | { readonly kind: 'azure'; readonly url: string; readonly account: string; readonly accountKey: string }
  | { readonly kind: 'gcs'; readonly url: string }
  | { readonly kind: 'supabase'; readonly url: string; readonly key: string }

export interface CloudTask {
  readonly task: 'save' | 'save again' | 'load' | 'upload' | 'download'
  /** Of the workspace. */
  readonly id: string
  readonly connection: CloudConnection
  readonly directory: string
  readonly stateDirectory: string
  /** What is uploaded, or where a download goes. */
  readonly file: string
}

export interface CloudFigures {
  readonly ms: number
  /** The most that the process ever had, Node included. */
  readonly megabytes: number
}

/**
 * Runs one task in a process of its own, of what is published: servers and proxy are in others.
 * @param onReady waited for before what is timed begins
 */
export async function runCloudChild(
  task: CloudTask,
  onReady: () => Promise<unknown> = () => Promise.resolve(),
): Promise<CloudFigures> {
  const running = fork(child, [JSON.stringify(task)], { execArgv: [] })
  const gone = once(running, 'exit').then(([code]) => {
    throw new Error(`The process that was to ${task.task} ended with ${String(code)}.`)
  })
  gone.catch(() => undefined)
  await Promise.race([once(running, 'message'), gone])
  await onReady()
  running.send('go')
  const [figures] = (await Promise.race([once(running, 'message'), gone])) as [CloudFigures]
  running.disconnect()
  await once(running, 'exit')
  return figures
}
