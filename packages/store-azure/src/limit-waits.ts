import type { Readable } from 'node:stream'
import type { ContainerClient } from '@azure/storage-blob'
import { readText, unlessAborted } from '@ws/core'

interface Request {
  streamResponseStatusCodes?: Set<number>
  readonly abortSignal?: AbortSignal | undefined
}

interface Response {
  readonly status: number
  readableStreamBody?: Readable | undefined
  bodyAsText?: string | null
}

/** What the SDK's clients are made of; its types keep it to themselves. */
interface CorePipeline {
  clone(): CorePipeline
  addPolicy(
    policy: {
      readonly name: string
      sendRequest(request: Request, next: (request: Request) => Promise<Response>): Promise<Response>
    },
    options?: { readonly afterPhase: 'Sign' },
  ): void
}

/**
 * The same client with limits to what it waits for: the SDK itself would read a text without end for as long as it comes,
 * and wait for a token after an abort. The caller's own is left as it is.
 */
export function limitWaits(container: ContainerClient): ContainerClient {
  const { pipeline } = container as unknown as {
    readonly pipeline?: { readonly _corePipeline?: CorePipeline }
  }
  const core = pipeline?._corePipeline?.clone()
  if (pipeline === undefined || core === undefined) return container
  core.addPolicy({ name: 'wsEndWaits', sendRequest: sendUnlessAborted })
  // Nearest to the connection, so that all others find a text as if the SDK had read it.
  core.addPolicy({ name: 'wsLimitTexts', sendRequest: sendLimited }, { afterPhase: 'Sign' })
  const limited = Object.create(Object.getPrototypeOf(pipeline) as object, {
    ...Object.getOwnPropertyDescriptors(pipeline),
    _corePipeline: { value: core, enumerable: true },
  }) as ConstructorParameters<typeof ContainerClient>[1]
  const Client = container.constructor as new (url: string, pipeline: typeof limited) => ContainerClient
  return new Client(container.url, limited)
}

function sendUnlessAborted(
  request: Request,
  next: (request: Request) => Promise<Response>,
): Promise<Response> {
  return unlessAborted(next(request), request.abortSignal, ({ readableStreamBody }) => {
    readableStreamBody?.on('error', () => undefined).destroy()
  })
}

async function sendLimited(
  request: Request,
  next: (request: Request) => Promise<Response>,
): Promise<Response> {
  const streamed = request.streamResponseStatusCodes
  request.streamResponseStatusCodes = new Set([Number.POSITIVE_INFINITY])
  const response = await next(request).finally(() => {
    // Another policy may send it again.
    if (streamed === undefined) delete request.streamResponseStatusCodes
    else request.streamResponseStatusCodes = streamed
  })
  const { readableStreamBody: stream, status } = response
  if (stream === undefined || streamed?.has(status) === true) return response
  delete response.readableStreamBody
  response.bodyAsText = await readText(stream)
  return response
}
