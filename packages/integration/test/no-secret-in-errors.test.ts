import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { ContainerClient, StorageSharedKeyCredential, newPipeline } from '@azure/storage-blob'
import { Storage } from '@google-cloud/storage'
import { createClient } from '@supabase/supabase-js'
import { WorkspaceError, type ObjectStore } from '@ws/core'
import { azureStore } from '@ws/store-azure'
import { gcsStore } from '@ws/store-gcs'
import { s3Store } from '@ws/store-s3'
import { supabaseStore } from '@ws/store-supabase'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A service that repeats to everybody all that it is sent: the worst that can stand in an answer. */
let answer: (text: string, response: ServerResponse) => void
/** What signed in, as it came. */
const received = new Set<string>()
const server = createServer((request, response) => {
  request.on('error', () => undefined).resume().on('end', () => {
    for (const secret of credentialsIn(request)) received.add(secret)
    answer(`${request.url} ${JSON.stringify(request.headers)}`, response)
  }) // prettier-ignore
})
let origin: string
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => server.close())

function credentialsIn({ url = '', headers }: IncomingMessage): string[] {
  const query = new URL(url, 'http://loopback').searchParams
  const signature = /Signature=([^,\s]+)/.exec(headers.authorization ?? '')?.[1]
  const given = [
    headers.authorization?.replace(/^(?:Bearer|SharedKey|AWS4-HMAC-SHA256)\s+/, ''),
    signature,
    headers['apikey'],
    headers['x-amz-security-token'],
    query.get('sig'),
  ]
  return given.flatMap((value) => (typeof value === 'string' ? [value] : []))
}

const secret = randomBytes(24).toString('hex')
const accountKey = Buffer.from(secret).toString('base64')
const jwt = `${Buffer.from('{"alg":"HS256"}').toString('base64url')}.${Buffer.from('{"role":"service_role"}').toString('base64url')}.${secret}`

const retry = { sleep: async () => undefined }

interface Adapter {
  readonly open: () => ObjectStore
  readonly shape: (status: number, text: string) => { readonly type: string; readonly body: string }
  readonly headers?: Readonly<Record<string, string>>
}

const inXml = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;')
const xmlError = (code: string, text: string) => ({
  type: 'application/xml',
  body: `<?xml version="1.0"?><Error><Code>${code}</Code><Message>${inXml(text)}</Message></Error>`,
})

const adapters: Readonly<Record<string, Adapter>> = {
  s3: {
    open: () =>
      s3Store({
        bucket: 'bucket',
        conditions: 'enforced',
        retry,
        client: {
          endpoint: origin,
          region: 'us-east-1',
          maxAttempts: 1,
          credentials: { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: secret, sessionToken: `token-${secret}` },
        },
      }), // prettier-ignore
    shape: (status, text) => xmlError(status < 409 ? 'AccessDenied' : inXml(text), text),
  },
  gcs: {
    open: () => {
      const storage = new Storage({ apiEndpoint: origin, projectId: 'project' })
      storage.authClient.getRequestHeaders = async () =>
        new Headers({ authorization: `Bearer ya29.${secret}` })
      Object.assign(storage, { customEndpoint: false })
      return gcsStore({ bucket: storage.bucket('bucket'), retry })
    },
    shape: (code, text) => ({
      type: 'application/json',
      body: JSON.stringify({ error: { code, message: text, errors: [{ reason: text }] } }),
    }),
  },
  supabase: {
    open: () =>
      supabaseStore({
        client: createClient(origin, jwt),
        bucket: 'bucket',
        retry,
      }),
    shape: (status, text) => ({
      type: 'application/json',
      body: JSON.stringify({ statusCode: String(status), error: text, message: text, code: text }),
    }),
  },
  azure: {
    open: () => {
      const credential = new StorageSharedKeyCredential('account', accountKey)
      const pipeline = newPipeline(credential, { retryOptions: { maxTries: 1 } })
      return azureStore({ container: new ContainerClient(`${origin}/account/container`, pipeline), retry })
    },
    shape: (_, text) => xmlError('AccessDenied', text),
  },
}

async function* pieces(): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 9; count += 1) yield new Uint8Array(1_048_576)
}

const calls: Readonly<Record<string, (store: ObjectStore) => Promise<unknown>>> = {
  get: async (store) => {
    for await (const _ of (await store.get('a'))?.body ?? []);
  },
  'get of a range': (store) => store.get('a', { range: { start: 0, end: 2 } }),
  head: (store) => store.head('a'),
  put: (store) => store.put('a', Buffer.from('x')),
  'put with a condition': (store) => store.put('a', Buffer.from('x'), { ifAbsent: true }),
  'put of a long stream': (store) => store.put('a', pieces()),
  delete: (store) => store.delete('a'),
  list: async (store) => {
    for await (const _ of store.list(''));
  },
}

function assertNoSecret(failure: WorkspaceError): void {
  const everything =
    inspect(failure, { depth: 20, showHidden: true, getters: true }) + JSON.stringify(failure) + failure.stack
  for (const hidden of [secret, accountKey, jwt, ...received]) {
    expect(everything).not.toContain(hidden)
    expect(everything).not.toContain(encodeURIComponent(hidden))
  }
}

describe.each(Object.entries(adapters))('%s', (_, { open, shape, headers = {} }) => {
  it.each(Object.entries(calls))(
    'keeps its credentials to itself though the service repeats them: %s',
    async (_name, call) => {
      received.clear()
      const answers: ((text: string, response: ServerResponse) => void)[] = [
        (_text, response) => response.destroy(),
        (text, response) => response.writeHead(200, { 'content-type': 'text/html' }).end(`<html>${text}</html>`),
        ...[400, 401, 403, 404, 409, 416, 418, 500, 503].flatMap((status) => [
          (text: string, response: ServerResponse) => {
            const { type, body } = shape(status, text)
            response.writeHead(status, { ...headers, 'content-type': type, 'x-echo': encodeURI(text) }).end(body)
          },
          (text: string, response: ServerResponse) =>
            response.writeHead(status, { 'content-type': 'text/plain', 'x-ms-error-code': 'AuthenticationFailed' }).end(text),
        ]),
      ] // prettier-ignore
      let failures = 0
      for (const each of answers) {
        answer = each
        const error: unknown = await call(open()).then(
          () => null,
          (reason: unknown) => reason,
        )
        // Some refusals are an answer: a delete of what is not there.
        if (error === null) continue
        if (!WorkspaceError.is(error)) throw error
        assertNoSecret(error)
        failures += 1
      }
      expect(failures).toBeGreaterThan(answers.length - 4)
      expect(received.size).toBeGreaterThan(0)
    },
  )
})
