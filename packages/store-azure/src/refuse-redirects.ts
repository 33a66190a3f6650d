import type { Readable } from 'node:stream'
import { notFromService, type CallAbout } from './azure-error.ts'

/**
 * What a call of the SDK gives, or fails with, if nothing has led it to another path. The SDK follows a redirect to the
 * same origin, which the service never sends: whatever stands there has been asked about another blob, or about none.
 *
 * @throws `UNAVAILABLE` when it was led elsewhere
 */
export async function refuseRedirects<T extends object | null>(
  { url }: { readonly url: string },
  { action, key }: CallAbout,
  call: () => Promise<T>,
): Promise<T> {
  let answer
  try {
    answer = await call()
  } catch (error) {
    if (isElsewhere((error as Asked | null)?.request, url)) throw notFromService(action, key, error)
    throw error
  }
  const answered = answer as Answered | null
  if (!isElsewhere(answered?._response?.request, url)) return answer
  answered?.readableStreamBody?.on('error', () => undefined).destroy()
  throw notFromService(action, key)
}

interface Asked {
  readonly request?: { readonly url?: unknown }
}

interface Answered {
  readonly _response?: Asked
  readonly readableStreamBody?: Readable
}

/** The host may be another, the secondary one of the account; and policies of the client may add to the query. */
function isElsewhere(request: Asked['request'], url: string): boolean {
  const asked = request?.url
  return typeof asked === 'string' && URL.canParse(asked) && pathOf(asked) !== pathOf(url)
}

function pathOf(url: string): string {
  return new URL(url).pathname.replace(/\/+$/, '')
}
