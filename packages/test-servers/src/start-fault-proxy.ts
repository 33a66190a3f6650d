import {
  Agent,
  createServer,
  request as sendRequest,
  type IncomingMessage,
  type OutgoingHttpHeaders,
  type ServerResponse,
} from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { bodyFaults } from './body-faults.ts'
import type { Answer, Fault, FaultRule, SeenRequest } from './fault.ts'
import { LOOPBACK } from './loopback.ts'

export interface FaultProxyOptions {
  /** Where requests go: an origin, such as `http://127.0.0.1:8080`; a path in it is ignored. */
  readonly target: string
  /** Waited before each request goes on, as a longer way would. @default 0 */
  readonly latencyMs?: number
  /** Bandwidth of each body, in each direction. @default unlimited */
  readonly bytesPerSecond?: number
}

export interface FaultProxy {
  /** The origin to talk to in the place of the target's. */
  readonly origin: string
  /** Every request so far, in the order of arrival. */
  readonly requests: readonly SeenRequest[]
  /** How many connections clients have opened. */
  readonly connections: number
  latencyMs: number
  bytesPerSecond: number
  /** How far the clock in the answers' `Date` is off. */
  dateSkewMs: number
  /** The same URL at the proxy's origin. */
  through(url: string): string
  /** Adds a rule. Of several rules that match a request, the one that was added first strikes. */
  inject(rule: FaultRule): void
  /** Drops all rules, and forgets the requests and connections so far. */
  reset(): void
  stop(): Promise<void>
}

/**
 * A proxy on loopback between a client and a storage server on which everything that a network does can be ordered.
 * The `Host` header goes through unchanged, so that signatures over it hold when the server takes any host.
 */
export async function startFaultProxy(options: FaultProxyOptions): Promise<FaultProxy> {
  const target = new URL(options.target)
  const agent = new Agent({ keepAlive: true })
  const sockets = new Set<Socket>()
  let requests: SeenRequest[] = []
  let connections = 0
  let rules: { rule: FaultRule; matched: number }[] = []
  const server = createServer((incoming, outgoing) => {
    const seen = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers, status: 0, bytesUp: 0, bytesDown: 0, startedMs: performance.now(), endedMs: Number.POSITIVE_INFINITY } // prettier-ignore
    requests.push(seen)
    outgoing.once('finish', () => (seen.endedMs = performance.now()))
    const exchange: Exchange = { incoming, outgoing, seen, fault: strike(rules, seen), target, agent, proxy }
    handle(exchange).catch(() => reset(incoming.socket))
  })
  server.on('connection', (socket) => {
    connections += 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    // A client that goes away is no event here.
    socket.on('error', () => undefined)
  })
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
  const proxy: FaultProxy = {
    origin: `http://${LOOPBACK}:${(server.address() as AddressInfo).port}`,
    get requests() {
      return requests
    },
    get connections() {
      return connections
    },
    latencyMs: options.latencyMs ?? 0,
    bytesPerSecond: options.bytesPerSecond ?? Number.POSITIVE_INFINITY,
    dateSkewMs: 0,
    through(url) {
      const { pathname, search } = new URL(url)
      return `${proxy.origin}${pathname === '/' ? '' : pathname}${search}`
    },
    inject(rule) {
      rules.push({ rule, matched: 0 })
    },
    reset() {
      rules = []
      requests = []
      connections = 0
    },
    async stop() {
      for (const socket of sockets) socket.destroy()
      agent.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}

interface Exchange {
  readonly incoming: IncomingMessage
  readonly outgoing: ServerResponse
  readonly seen: { -readonly [Name in keyof SeenRequest]: SeenRequest[Name] }
  readonly fault: Fault | undefined
  readonly target: URL
  readonly agent: Agent
  readonly proxy: FaultProxy
}

/** Counts the request for each rule that it matches, and picks the fault. */
function strike(rules: { rule: FaultRule; matched: number }[], seen: SeenRequest): Fault | undefined {
  let fault: Fault | undefined
  for (const entry of rules) {
    if (entry.rule.match !== undefined && !entry.rule.match(seen)) continue
    const number = entry.matched
    entry.matched += 1
    const { skip = 0, times = 1 } = entry.rule
    if (number >= skip && number < skip + times) fault ??= entry.rule.fault
  }
  return fault
}

async function handle(exchange: Exchange): Promise<void> {
  const { incoming, fault, proxy } = exchange
  if (fault?.kind === 'reset') return reset(incoming.socket)
  if (fault?.kind === 'hold') await fault.until(exchange.seen)
  if (proxy.latencyMs > 0) await new Promise((resolve) => setTimeout(resolve, proxy.latencyMs))
  if (fault?.kind === 'answer') {
    for await (const chunk of incoming) exchange.seen.bytesUp += (chunk as Buffer).length
    return answer(exchange, fault)
  }
  forward(exchange)
}

function forward(exchange: Exchange): void {
  const { incoming, outgoing, seen, fault, target, agent, proxy } = exchange
  const cut = (): void => {
    upstream.destroy()
    reset(incoming.socket)
  }
  const upstream = sendRequest({
    host: target.hostname,
    port: target.port,
    agent,
    method: seen.method,
    path: seen.url,
    headers: requestHeaders(exchange),
    setHost: false,
  })
  upstream.on('response', (response) => relay(exchange, response, cut))
  upstream.on('error', () => reset(incoming.socket))
  incoming.on('error', () => upstream.destroy())
  outgoing.on('close', () => {
    if (!outgoing.writableFinished) upstream.destroy()
  })
  const up = bodyFaults({
    fault,
    direction: 'up',
    bytesPerSecond: proxy.bytesPerSecond,
    count: (bytes) => (seen.bytesUp += bytes),
    cut,
  })
  incoming.pipe(up).pipe(upstream)
}

function relay(exchange: Exchange, response: IncomingMessage, cut: () => void): void {
  const { incoming, outgoing, seen, fault, proxy } = exchange
  if (fault?.kind === 'reset-after') {
    response.resume().on('end', () => reset(incoming.socket))
    return
  }
  if (fault?.kind === 'answer-after') {
    response.resume().on('end', () => answer(exchange, fault))
    return
  }
  seen.status = response.statusCode ?? 0
  outgoing.writeHead(seen.status, responseHeaders(exchange, response))
  outgoing.flushHeaders()
  const down = bodyFaults({
    fault,
    direction: 'down',
    bytesPerSecond: proxy.bytesPerSecond,
    count: (bytes) => (seen.bytesDown += bytes),
    cut,
  })
  response.on('error', () => reset(incoming.socket))
  response.on('aborted', () => reset(incoming.socket))
  // A length that promises more than there is would leave the client waiting for ever.
  if (fault?.kind === 'headers' && 'content-length' in fault.headers)
    down.on('end', () => setImmediate(() => incoming.socket.end()))
  response.pipe(down).pipe(outgoing)
}

function answer({ outgoing, seen }: Exchange, { status, headers = {}, body = '' }: Answer): void {
  seen.status = status
  seen.bytesDown = Buffer.byteLength(body)
  const isHead = seen.method === 'HEAD'
  outgoing.writeHead(status, { 'content-length': Buffer.byteLength(body), ...headers })
  outgoing.end(isHead ? undefined : body)
}

/** `Expect` is answered here: Node's server has sent its 100 already. */
function requestHeaders({ incoming, fault }: Exchange): OutgoingHttpHeaders {
  const { expect: _, connection: __, ...headers } = incoming.headers
  return fault?.kind === 'request-headers' ? replaced(headers, fault.headers) : headers
}

function responseHeaders({ fault, proxy }: Exchange, response: IncomingMessage): OutgoingHttpHeaders {
  const { connection: _, 'keep-alive': __, ...headers }: OutgoingHttpHeaders = response.headers
  if (proxy.dateSkewMs !== 0) headers['date'] = new Date(Date.now() + proxy.dateSkewMs).toUTCString()
  if (fault?.kind === 'shorten') headers['content-length'] = fault.toBytes
  return fault?.kind === 'headers' ? replaced(headers, fault.headers) : headers
}

function replaced(
  headers: OutgoingHttpHeaders,
  changes: Readonly<Record<string, string | null>>,
): OutgoingHttpHeaders {
  const result = { ...headers }
  for (const [name, value] of Object.entries(changes)) {
    if (value === null) delete result[name]
    else result[name] = value
  }
  return result
}

function reset(socket: Socket): void {
  socket.resetAndDestroy()
}
