import { Readable } from 'node:stream'
import {
  GetObjectCommand,
  type $Command,
  type S3Client,
  type S3ClientResolvedConfig,
  type ServiceInputTypes,
  type ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import { limitText } from '@ws/core'

export type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = $Command<
  Input,
  Output,
  S3ClientResolvedConfig
>

/** What is seen of a command while it is sent. */
export interface Seen {
  /** Of the answer. */
  readonly headers: Record<string, string>
  /** By how much the time that it was signed with is not that of this machine. */
  readonly clockOffsetMs: number
}

interface HttpAnswer {
  readonly headers?: object
  readonly statusCode?: number
  body?: unknown
}

/** Looks at a command that is about to be sent, and ends an answer that the SDK would read as a text for ever. */
export function watchCommand<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
  client: S3Client,
  command: Command<Input, Output>,
): Seen {
  const seen = { headers: {}, clockOffsetMs: 0 }
  command.middlewareStack.add(
    (next) => async (input) => {
      seen.clockOffsetMs = client.config.systemClockOffset
      const result = await next(input)
      const response = result.response as HttpAnswer
      Object.assign(seen.headers, response.headers)
      const isObject = command instanceof GetObjectCommand && (response.statusCode ?? 0) < 300
      if (!isObject && isStream(response.body)) response.body = Readable.from(limitText(response.body))
      return result
    },
    // Nearest to the connection, before anything reads.
    { step: 'deserialize', name: 'wsWatch', priority: 'low', override: true },
  )
  return seen
}

function isStream(body: unknown): body is AsyncIterable<Uint8Array> {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}
