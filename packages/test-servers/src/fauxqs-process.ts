import { startFauxqs } from 'fauxqs'

/** The process that `start-fauxqs.ts` starts: tells its port, and ends with its parent. */
const [host, bucket = ''] = process.argv.slice(2)
const server = await startFauxqs({ port: 0, logger: false, ...(host === undefined ? {} : { host }) })
server.createBucket(bucket)
process.on('disconnect', () => process.exit(0))
process.send?.({ port: server.port })
