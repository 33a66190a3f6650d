import { Agent, createServer, get, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { captivePortal, startFaultProxy, type FaultProxy } from '../src/index.ts'

const KIB = 1_024
const answerBytes = Buffer.alloc(200 * KIB, 'abcdefgh')

let target: Server
let received: { url: string; host: string; body: Buffer }[]
let proxy: FaultProxy

beforeEach(async () => {
  received = []
  target = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      received.push({
        url: request.url ?? '',
        host: request.headers.host ?? '',
        body: Buffer.concat(chunks),
      })
      response.setHeader('content-length', answerBytes.length).end(answerBytes)
    })
  })
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  proxy = await startFaultProxy({ target: `http://127.0.0.1:${(target.address() as AddressInfo).port}` })
})

afterEach(async () => {
  await proxy.stop()
  target.closeAllConnections()
  await new Promise((resolve) => target.close(resolve))
})

async function bytesOf(path: string, options: RequestInit = {}): Promise<Buffer> {
  const response = await fetch(`${proxy.origin}${path}`, options)
  return Buffer.from(await response.arrayBuffer())
}

it('passes requests and answers on as they are, and counts them', async () => {
  expect((await bytesOf('/a?b=c', { method: 'PUT', body: 'hello' })).equals(answerBytes)).toBe(true)
  expect(received).toEqual([
    { url: '/a?b=c', host: proxy.origin.slice('http://'.length), body: Buffer.from('hello') },
  ])
  expect(proxy.requests).toMatchObject([
    { method: 'PUT', url: '/a?b=c', status: 200, bytesUp: 5, bytesDown: answerBytes.length },
  ])
})

it('uses one connection for one request after another', async () => {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  for (let count = 0; count < 5; count += 1)
    await new Promise((resolve) =>
      get(`${proxy.origin}/${count}`, { agent }, (response) => response.resume().on('end', resolve)),
    )
  expect(proxy.requests.length).toBe(5)
  expect(proxy.connections).toBe(1)
  agent.destroy()
})

it('strikes the requests that a rule names, and no others', async () => {
  proxy.inject({
    match: ({ method }) => method === 'PUT',
    skip: 1,
    times: 2,
    fault: { kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: 'busy' },
  })
  const statuses = []
  for (const method of ['GET', 'PUT', 'PUT', 'GET', 'PUT', 'PUT'])
    statuses.push((await fetch(`${proxy.origin}/x`, { method })).status)
  expect(statuses).toEqual([200, 200, 503, 200, 503, 200])
  expect(received.length).toBe(4)
})

it('answers in the place of the target before or after it did its work', async () => {
  proxy.inject({ fault: captivePortal })
  proxy.inject({ skip: 1, fault: { kind: 'answer-after', status: 500, body: 'sorry' } })
  expect((await bytesOf('/before')).toString()).toContain('Sign in')
  expect((await bytesOf('/after')).toString()).toBe('sorry')
  expect(received.map(({ url }) => url)).toEqual(['/after'])
})

it('resets connections before a request, after its work, and in the middle of either body', async () => {
  proxy.inject({ match: ({ url }) => url === '/reset', fault: { kind: 'reset' } })
  proxy.inject({ match: ({ url }) => url === '/reset-after', fault: { kind: 'reset-after' } })
  proxy.inject({ match: ({ url }) => url === '/cut-up', fault: { kind: 'cut-up', afterBytes: 1_000 } })
  proxy.inject({ match: ({ url }) => url === '/cut-down', fault: { kind: 'cut-down', afterBytes: 1_000 } })
  const body = Buffer.alloc(500 * KIB)
  for (const path of ['/reset', '/reset-after', '/cut-up', '/cut-down'])
    await expect(bytesOf(path, { method: 'PUT', body })).rejects.toThrow()
  expect(received.map(({ url }) => url)).toEqual(['/reset-after', '/cut-down'])
  expect(proxy.requests.map(({ bytesUp }) => bytesUp)).toEqual([0, body.length, 1_000, body.length])
  expect(proxy.requests[3]?.bytesDown).toBe(1_000)
})

it('stalls a body until the client gives up', async () => {
  proxy.inject({ fault: { kind: 'stall-down', afterBytes: 1_000 } })
  const controller = new AbortController()
  const response = await fetch(`${proxy.origin}/x`, { signal: controller.signal })
  let count = 0
  await expect(async () => {
    for await (const chunk of response.body ?? []) {
      count += chunk.length
      if (count === 1_000) controller.abort(new Error('enough'))
    }
  }).rejects.toThrow('enough')
})

it('shortens an answer with a length that fits, or lets the length lie', async () => {
  proxy.inject({ fault: { kind: 'shorten', toBytes: 100 } })
  proxy.inject({ skip: 1, fault: { kind: 'headers', headers: { 'content-length': '100', etag: '"x"' } } })
  proxy.inject({ skip: 2, fault: { kind: 'headers', headers: { 'content-length': '300000' } } })
  expect((await bytesOf('/x')).length).toBe(100)
  const response = await fetch(`${proxy.origin}/x`)
  expect(response.headers.get('etag')).toBe('"x"')
  expect(response.headers.get('content-length')).toBe('100')
  await expect(bytesOf('/longer')).rejects.toThrow()
})

it('turns one bit over on either way', async () => {
  proxy.inject({ fault: { kind: 'flip-down', atByte: 150 * KIB } })
  proxy.inject({ skip: 1, fault: { kind: 'flip-up', atByte: 1 } })
  const damaged = await bytesOf('/down')
  const places = [...damaged.keys()].filter((index) => damaged[index] !== answerBytes[index])
  expect(places).toEqual([150 * KIB])
  await bytesOf('/up', { method: 'PUT', body: 'aaa' })
  expect(received.at(-1)?.body.toString()).toBe('a`a')
})

it('sets the clock of the answers back or forward', async () => {
  proxy.dateSkewMs = 86_400_000
  const date = (await fetch(`${proxy.origin}/x`)).headers.get('date') ?? ''
  expect(Date.parse(date) - Date.now()).toBeGreaterThan(86_000_000)
})

it('holds a request until the test says so', async () => {
  let release = (): void => undefined
  const arrived = new Promise<void>((resolve) => {
    proxy.inject({
      fault: {
        kind: 'hold',
        until: () => {
          resolve()
          return new Promise((go) => (release = go))
        },
      },
    })
  })
  const call = bytesOf('/held')
  await arrived
  expect(received).toEqual([])
  release()
  expect((await call).length).toBe(answerBytes.length)
})
