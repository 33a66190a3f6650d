import { Buffer } from 'node:buffer'
import http from 'node:http'
import https from 'node:https'
import type { OnReadOpts } from 'node:net'

/** What the kernel hands over at once at most. */
const BUFFER_BYTES = 64 * 1024

/**
 * For adapters: agents whose connections receive into one piece of memory each. Node's own allocate 64 KB for each read,
 * and what is dead of that gathers until V8 looks: some 40 MB beside a stream. Node's parser copies what it passes on.
 */
export function steadyAgents(options: http.AgentOptions): {
  readonly httpAgent: http.Agent
  readonly httpsAgent: https.Agent
} {
  return { httpAgent: new SteadyHttpAgent(options), httpsAgent: new SteadyHttpsAgent(options) }
}

type Connected = ReturnType<http.Agent['createConnection']>

class SteadyHttpAgent extends http.Agent {
  override createConnection(options: http.ClientRequestArgs, callback?: ConnectionCallback): Connected {
    return connectSteadily((onread) => super.createConnection({ ...options, ...onread }, callback))
  }
}

class SteadyHttpsAgent extends https.Agent {
  override createConnection(options: https.RequestOptions, callback?: ConnectionCallback): Connected {
    return connectSteadily((onread) => super.createConnection({ ...options, ...onread }, callback))
  }
}

type ConnectionCallback = Parameters<http.Agent['createConnection']>[1]

function connectSteadily(connect: (options: { readonly onread: OnReadOpts }) => Connected): Connected {
  const buffer = Buffer.allocUnsafeSlow(BUFFER_BYTES)
  const socket = connect({
    onread: {
      buffer,
      callback(bytes) {
        socket?.emit('data', buffer.subarray(0, bytes))
        return true
      },
    },
  })
  return socket
}
