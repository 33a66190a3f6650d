import { realS3Server, startFauxqs, startR2Server, type S3TestServer } from '@ws/test-servers'
import { s3Store, type S3Store, type S3StoreOptions } from '../src/index.ts'

/** The servers that the tests run against: those on loopback, and the real one that the environment names. */
export function serverStarters(): (() => Promise<S3TestServer>)[] {
  const real = realS3Server()
  return [startR2Server, startFauxqs, ...(real === null ? [] : [async () => real])]
}

/** A store on a server, whose requests may go elsewhere first. */
export function storeOn(
  server: S3TestServer,
  options: Partial<S3StoreOptions> & { readonly endpoint?: string } = {},
): S3Store {
  const { endpoint, ...storeOptions } = options
  return s3Store({
    bucket: server.bucket,
    client: { ...server.clientConfig, ...(endpoint === undefined ? {} : { endpoint }) },
    // No emulator takes more in one request than 11 MiB.
    singlePutBytes: 8_388_608,
    ...storeOptions,
  })
}
