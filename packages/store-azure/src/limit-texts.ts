import type { ContainerClient } from '@azure/storage-blob'
import { readText } from '@ws/core'

interface Request {
  streamResponseStatusCodes?: Set<number>
}

interface Response {
  readonly status: number
  readableStreamBody?: AsyncIterable<Uint8Array> | undefined
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
    options: { readonly afterPhase: 'Sign' },
  ): void
}

/**
 * The same client with a limit to what it reads as a text: the SDK itself would read one without end for as long as it
 * comes. The caller's own is left as it is.
 */
export function limitTexts(container: ContainerClient): ContainerClient {
  const { pipeline } = container as unknown as {
    readonly pipeline?: { readonly _corePipeline?: CorePipeline }
  }
  const core = pipeline?._corePipeline?.clone()
  if (pipeline === undefined || core === undefined) return container
  // Nearest to the connection, so that all others find a text as if the SDK had read it.
  core.addPolicy({ name: 'wsLimitTexts', sendRequest: sendLimited }, { afterPhase: 'Sign' })
  const limited = Object.create(Object.getPrototypeOf(pipeline) as object, {
    ...Object.getOwnPropertyDescriptors(pipeline),
    _corePipeline: { value: core, enumerable: true },
  }) as ConstructorParameters<typeof ContainerClient>[1]
  const Client = container.constructor as new (url: string, pipeline: typeof limited) => ContainerClient
  return new Client(container.url, limited)
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
