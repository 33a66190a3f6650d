import type { Readable } from 'node:stream'
import type { S3Client, ServiceInputTypes, ServiceOutputTypes } from '@aws-sdk/client-s3'
import { WorkspaceError, unlessAborted, type RequestRetries } from '@ws/core'
import { isOfWrongTime, isReset, toStoreError, type CallAbout } from './s3-error.ts'
import { watchCommand, type Command } from './watch-command.ts'

/** What the operations share: where the objects are, and one way to ask for them. */
export interface S3Calls {
  readonly client: S3Client
  readonly bucket: string
  /** What stands before every key: empty, or ends with `/`. */
  readonly base: string
  /** For pieces of streams. */
  readonly retries: RequestRetries
  /** What is learned on the way. `namesRequests`: the service's answers tell the id of their request, as those of AWS do. */
  readonly memory: { etagsAreHashes: boolean; namesRequests: boolean }
  /** Whether the SDK adds a checksum to what it uploads, as is its default. */
  sendsChecksums(): Promise<boolean>
  /** Puts what the SDK throws outside of a call into the error table. */
  translate(error: unknown, about: CallAbout): Promise<unknown>
  /** The chunks of an answer's body; what breaks it off comes out as from {@link send}. */
  read(body: unknown, about: CallAbout, signal?: AbortSignal): AsyncGenerator<Uint8Array, void, undefined>
  /**
   * Sends one command; what goes wrong comes out as a `WorkspaceError`, or as the signal's reason. One whose body can be
   * read only once is made anew each time that it is sent.
   */
  send<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
    command: Command<Input, Output> | (() => Command<Input, Output>),
    about: CallAbout,
    signal?: AbortSignal,
  ): Promise<S3Answer<Output>>
}

export interface S3Answer<Output> {
  readonly output: Output
  /** The server's clock when it answered, or `null` when it did not say. */
  readonly date: Date | null
  readonly status: number
  /** Whether it tells the id of its request. */
  readonly isNamed: boolean
}

/**
 * The SDK signs by the clock of the last answer, whoever gave it: one of a proxy with a wrong clock, and the service
 * refuses the next request. What is refused without such an offset shows that this machine's clock is wrong.
 */
const LEARNED_OFFSET_MS = 240_000

/** What does the same when it is done twice. */
const repeatableActions: ReadonlySet<string> = new Set(['read', 'list', 'delete'])

export function createCalls(
  client: S3Client,
  bucket: string,
  base: string,
  retries: RequestRetries,
): S3Calls {
  const translate = async (error: unknown, about: CallAbout): Promise<unknown> =>
    WorkspaceError.is(error) ? error : toStoreError(error, { bucket, ...about }, await secretsOf(client))
  const memory = { etagsAreHashes: true, namesRequests: false }
  return {
    client,
    bucket,
    base,
    retries,
    memory,
    translate,
    async sendsChecksums() {
      return (await client.config.requestChecksumCalculation()) === 'WHEN_SUPPORTED'
    },
    async *read(body, about, signal) {
      const chunks = ((body ?? []) as AsyncIterable<Uint8Array>)[Symbol.asyncIterator]()
      try {
        for (;;) {
          const next = await chunks.next().catch(async (error: unknown) => {
            signal?.throwIfAborted()
            throw await translate(error, about)
          })
          if (next.done === true) return
          yield next.value
        }
      } finally {
        await chunks.return?.()
      }
    },
    async send(command, about, signal) {
      signal?.throwIfAborted()
      for (let attempt = 1; ; attempt += 1) {
        const sent = typeof command === 'function' ? command() : command
        const seen = watchCommand(client, sent)
        try {
          const sending = client.send(sent, signal === undefined ? {} : { abortSignal: signal })
          // The SDK does not end a wait for credentials.
          const output = await unlessAborted(sending, signal, dropBody)
          const date = new Date(seen.headers['date'] ?? '')
          const isNamed = output.$metadata.requestId !== undefined
          memory.namesRequests ||= isNamed
          return {
            isNamed,
            output,
            date: Number.isNaN(date.getTime()) ? null : date,
            status: output.$metadata.httpStatusCode ?? 0,
          }
        } catch (error) {
          signal?.throwIfAborted()
          const failure = await translate(error, about)
          // A service may close an idle connection in the moment in which it is used again.
          const mayRepeat = isReset(failure) && repeatableActions.has(about.action)
          const isMisled = isOfWrongTime(failure) && Math.abs(seen.clockOffsetMs) >= LEARNED_OFFSET_MS
          if (attempt === 2 || !(mayRepeat || isMisled)) throw failure
          if (isMisled) client.config.systemClockOffset = 0
        }
      }
    },
  }
}

/** Of an answer that nobody waits for any more. */
function dropBody(output: object): void {
  const body = 'Body' in output ? (output.Body as Readable | undefined) : undefined
  body?.on('error', () => undefined).destroy()
}

/** What must never stand in a message: asked for only when something went wrong. */
async function secretsOf(client: S3Client): Promise<string[]> {
  try {
    const { accessKeyId, secretAccessKey, sessionToken } = await client.config.credentials()
    // A provider may give less than its type says.
    return [secretAccessKey, accessKeyId, sessionToken].filter((secret) => typeof secret === 'string')
  } catch {
    return []
  }
}
