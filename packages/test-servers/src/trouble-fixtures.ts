import { createServer } from 'node:http'
import { captivePortal, type Fault, type SeenRequest } from './fault.ts'
import { LOOPBACK } from './loopback.ts'
import { startFaultProxy } from './start-fault-proxy.ts'

export interface TroubleFixturesOptions<Store> {
  /** The origin of the sound service. */
  readonly target: string
  /** Opens a store whose client talks to this origin in the place of the target's, and repeats no request. */
  readonly open: (origin: string) => Store
  /** What the service answers when it has had enough. */
  readonly busy: {
    readonly status: number
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
  }
}

const MIB = 1_048_576

/** A body of more than 1 MiB goes up. Services get it in parts, so the parts count. */
const isLargeUpload = ({ method, headers }: SeenRequest): boolean =>
  (method === 'PUT' || method === 'POST') && !(Number(headers['content-length'] ?? Infinity) <= MIB)

/** Answers to these have no body, or a short one that is no object. */
const isDownload = ({ method }: SeenRequest): boolean => method === 'GET'

/**
 * The fixtures of `@ws/conformance` that a network can make, each by a proxy of its own before the sound service.
 * The names are those of `StoreFixtures`.
 */
export async function startTroubleFixtures<Store>(options: TroubleFixturesOptions<Store>) {
  const { target, open, busy } = options
  const stops: (() => Promise<void>)[] = []
  const through = async (fault: Fault, match?: (request: SeenRequest) => boolean): Promise<() => Store> => {
    const proxy = await startFaultProxy({ target })
    stops.push(() => proxy.stop())
    proxy.inject({ ...(match === undefined ? {} : { match }), times: Number.POSITIVE_INFINITY, fault })
    return () => open(proxy.origin)
  }
  const unused = await unusedOrigin()
  const never = new Promise<void>(() => {})
  const fixtures = {
    outage: () => open(unused),
    throttled: await through({ kind: 'answer', ...busy }),
    captivePortal: await through(captivePortal),
    stalled: await through({ kind: 'hold', until: () => never }),
    stalledDownloads: await through({ kind: 'stall-down', afterBytes: 100_000 }, isDownload),
    cutUploads: await through({ kind: 'cut-up', afterBytes: 100_000 }, isLargeUpload),
    cutDownloads: await through({ kind: 'cut-down', afterBytes: 100_000 }, isDownload),
    shortDownloads: await through({ kind: 'shorten', toBytes: 100_000 }, isDownload),
    damagedUploads: await through({ kind: 'flip-up', atByte: 500_000 }, isLargeUpload),
    damagedDownloads: await through({ kind: 'flip-down', atByte: 500_000 }, isDownload),
  }
  return {
    fixtures,
    async stop() {
      await Promise.all(stops.map((stop) => stop()))
    },
  }
}

/** Where nobody listens. */
async function unusedOrigin(): Promise<string> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, LOOPBACK, resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return `http://${LOOPBACK}:${typeof address === 'object' ? address?.port : 0}`
}
