import { subscribe } from 'node:diagnostics_channel'
import { startFauxqs } from 'fauxqs'

/** What is used of the web framework beneath the server, which has no option for this. */
interface WebServer {
  addHook(name: 'onRoute', hook: (route: { bodyLimit?: number }) => void): void
}

/** The process that `start-fauxqs.ts` starts: tells its port, and ends with its parent. */
const [host, bucket = '', maxRequestBytes] = process.argv.slice(2)
if (maxRequestBytes !== undefined) {
  subscribe('fastify.initialization', (message) => {
    const { fastify } = message as { readonly fastify: WebServer }
    fastify.addHook('onRoute', (route) => {
      route.bodyLimit = Number(maxRequestBytes)
    })
  })
}
const server = await startFauxqs({ port: 0, logger: false, ...(host === undefined ? {} : { host }) })
server.createBucket(bucket)
process.on('disconnect', () => process.exit(0))
process.send?.({ port: server.port })
