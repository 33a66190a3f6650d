/**
 * Something that goes wrong with one request. Everything is counted in requests and bytes of bodies, nothing in time,
 * so that a test sees the same each time.
 */
export type Fault =
  /** The target never hears of the request; this is the answer. The request's body is read to its end first. */
  | ({ readonly kind: 'answer' } & Answer)
  /** The target does what was asked, and the client gets this answer instead of its own. */
  | ({ readonly kind: 'answer-after' } & Answer)
  /** The connection is reset as the request arrives. */
  | { readonly kind: 'reset' }
  /** The target does what was asked; the connection is reset in the place of its answer. */
  | { readonly kind: 'reset-after' }
  /** The connection is reset after so many bytes of the request's body went on to the target. */
  | { readonly kind: 'cut-up'; readonly afterBytes: number }
  /** The same with the answer's body. */
  | { readonly kind: 'cut-down'; readonly afterBytes: number }
  /** No byte moves any more after so many bytes; the connection stays open until one side or the proxy ends. */
  | { readonly kind: 'stall-up'; readonly afterBytes: number }
  | { readonly kind: 'stall-down'; readonly afterBytes: number }
  /** The answer is this short, and says so in its own headers: well-formed, and not the object. */
  | { readonly kind: 'shorten'; readonly toBytes: number }
  /** One bit of a body is turned over on its way. */
  | { readonly kind: 'flip-up'; readonly atByte: number }
  | { readonly kind: 'flip-down'; readonly atByte: number }
  /** Headers of the answer are replaced; `null` removes one. */
  | { readonly kind: 'headers'; readonly headers: Readonly<Record<string, string | null>> }
  /** Headers of the request are replaced on their way; `null` removes one. */
  | { readonly kind: 'request-headers'; readonly headers: Readonly<Record<string, string | null>> }
  /** Called when the request arrives, and waited for: for a test that must do something exactly then. */
  | { readonly kind: 'hold'; readonly until: (request: SeenRequest) => Promise<void> }

export interface Answer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string
}

export interface FaultRule {
  /** Which requests count. @default all */
  readonly match?: (request: SeenRequest) => boolean
  /** How many matching requests pass before. @default 0 */
  readonly skip?: number
  /** How many matching requests are struck. @default 1 */
  readonly times?: number
  readonly fault: Fault
}

/** A request as the proxy saw it; the counts are final when it has ended. */
export interface SeenRequest {
  /** By `performance.now`. The end is that of the whole answer; infinite until then. */
  readonly startedMs: number
  readonly endedMs: number
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** The answer's status, or 0 when there was none. */
  readonly status: number
  /** Bytes of the bodies that passed. */
  readonly bytesUp: number
  readonly bytesDown: number
}

/** What a hotel's network answers to everything until somebody has clicked. */
export const captivePortal: Fault = {
  kind: 'answer',
  status: 200,
  headers: { 'content-type': 'text/html; charset=utf-8' },
  body: '<!DOCTYPE html><html><head><title>Welcome</title></head><body><h1>Sign in to the network</h1></body></html>',
}
