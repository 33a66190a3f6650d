import { once } from 'node:events'
import { Agent, createServer, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { sendRequest, type HttpResponse } from '@ws/core'
import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'

let answerWith: (response: ServerResponse) => void
const sockets = new Set<Socket>()
const server = createServer((_, response) => answerWith(response)).on('connection', (socket: Socket) => {
  sockets.add(socket.once('close', () => sockets.delete(socket)))
})
const agent = new Agent({ keepAlive: true })
beforeAll(async () => {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
})
afterEach(() => void vi.useRealTimers())
afterAll(() => {
  agent.destroy()
  server.closeAllConnections()
  server.close()
})

async function ask(answer: (response: ServerResponse) => void): Promise<HttpResponse> {
  answerWith = answer
  const url = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}`)
  return sendRequest(url, { method: 'GET', headers: new Headers(), body: [], signal: undefined, agent })
}

const closed = () => vi.waitFor(() => expect(sockets.size).toBe(0), { timeout: 2_000 })

it('leaves the connection of a short answer to other requests', async () => {
  for (const _ of [1, 2, 3]) {
    const answer = await ask((response) => response.end('a few words'))
    answer.discard()
    await once(answer.body, 'close')
    await vi.waitFor(() => expect(Object.keys(agent.freeSockets)).toHaveLength(1))
    expect(sockets.size).toBe(1)
  }
})

it('closes the connection of an answer that stalls', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  const answer = await ask((response) => response.writeHead(200, { 'content-length': '100' }).write('{'))
  answer.discard()
  vi.advanceTimersByTime(10_000)
  vi.useRealTimers()
  await closed()
})

it('closes the connection of an answer that says that it is long', async () => {
  const long = (response: ServerResponse) => response.writeHead(200, { 'content-length': '1000000' })
  const answer = await ask((response) => long(response).write('{'))
  answer.discard()
  await closed()
})

it('closes the connection of an answer that never ends', async () => {
  const answer = await ask(function pour(response: ServerResponse) {
    while (!response.destroyed && response.write(Buffer.alloc(16_384)));
    response.once('drain', () => pour(response))
  })
  answer.discard()
  await closed()
})
