import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Readable } from 'node:stream'
import { buffer } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import { afterEach, describe, expect, it } from 'vitest'
import { receiveChunks } from '../../src/store/received-chunks.ts'

const content = randomBytes(3_000_000)
const httpAgent = new http.Agent({ keepAlive: true, maxSockets: 1 })
const servers: Server[] = []

afterEach(async () => {
  httpAgent.destroy()
  for (const server of servers.splice(0)) {
    server.closeAllConnections()
    server.close()
    await once(server, 'close')
  }
})

describe('chunks of an answer', () => {
  it('stay as they are when the connection has received more', async () => {
    const kept: Uint8Array[] = []
    for await (const chunk of receiveChunks(await request(await serve(sendInPieces)))) {
      kept.push(chunk)
      await setImmediate()
    }
    expect(Buffer.concat(kept).equals(content)).toBe(true)
  })

  it('give their memory back when the next one is asked for, if the reader says so', async () => {
    const copies: Buffer[] = []
    let last: Uint8Array | undefined
    for await (const chunk of receiveChunks(await request(await serve(sendInPieces)), true)) {
      expect(last?.length ?? 0).toBe(0)
      copies.push(Buffer.from(chunk))
      last = chunk
    }
    expect(Buffer.concat(copies).equals(content)).toBe(true)
  })

  it('take with them what the connection has read', async () => {
    const reads: Uint8Array[] = []
    const answer = await request(await serve(sendInPieces), recordReads(reads))
    const before = reads.length
    for await (const _chunk of receiveChunks(answer, true));
    const lengths = reads.slice(before, -1).map(({ length }) => length)
    expect(lengths.length).toBeGreaterThan(10)
    expect(new Set(lengths)).toEqual(new Set([0]))
  })

  it('leave what the connection has read to somebody else who listens', async () => {
    const answer = await request(await serve(sendInPieces))
    const seen: Uint8Array[] = []
    const chunks = receiveChunks(answer, true)
    await chunks.next()
    answer.socket.on('data', (bytes: Uint8Array) => seen.push(bytes))
    for await (const _chunk of chunks);
    expect(seen.length).toBeGreaterThan(10)
    expect(seen.filter(({ length }) => length === 0)).toEqual([])
  })

  it('leave the connection as soon as all of the answer has come', async () => {
    let end = (): unknown => undefined
    const answer = await request(
      await serve((response) => {
        response.write(content.subarray(0, 1000))
        end = () => response.end(content.subarray(0, 1000))
      }),
    )
    const { socket } = answer
    const chunks = receiveChunks(answer, true)
    await chunks.next()
    const listeners = socket.listenerCount('data')
    end()
    await once(answer, 'end')
    expect([listeners, socket.listenerCount('data')]).toEqual([2, 0])
    await chunks.return()
  })

  it('of a fetch do so too', async () => {
    const { body } = await fetch(await serve(sendInPieces))
    const copies: Buffer[] = []
    let last: Uint8Array | undefined
    for await (const chunk of receiveChunks(body ?? ReadableStream.from([]), true)) {
      expect(last?.length ?? 0).toBe(0)
      copies.push(Buffer.from(chunk))
      last = chunk
    }
    expect(Buffer.concat(copies).equals(content)).toBe(true)
  })

  it.each([
    ['a stream of somebody', () => Readable.from([Buffer.from(content)])],
    ['a stream of the web that anybody may have filled', () => ReadableStream.from([Buffer.from(content)])],
  ])('of %s keep their memory', async (_name, open) => {
    const received: Uint8Array[] = []
    for await (const chunk of receiveChunks(open(), true)) received.push(chunk)
    expect(Buffer.concat(received).equals(content)).toBe(true)
  })

  it('end with an error where the connection breaks', async () => {
    const answer = await request(
      await serve((response) => {
        response.writeHead(200, { 'content-length': content.length })
        response.write(content.subarray(0, 100_000), () => response.destroy())
      }),
    )
    await expect(Array.fromAsync(receiveChunks(answer))).rejects.toThrow('aborted')
  })

  it('leave a stream to who stops early: its rest can be read off, and the connection used again', async () => {
    const url = await serve(sendInPieces)
    const answer = await request(url)
    for await (const _chunk of receiveChunks(answer, true)) break
    const { socket } = answer
    answer.resume()
    await once(answer, 'end')
    const second = await request(url)
    expect(second.socket).toBe(socket)
    expect((await buffer(second)).equals(content)).toBe(true)
  })
})

/** Pieces of odd sizes, so that they meet the receiver's buffer anywhere. */
function sendInPieces(response: ServerResponse): void {
  const pieces = function* (): Generator<Buffer> {
    for (let at = 0, size = 1; at < content.length; at += size, size = (size * 7 + 13) % 150_001)
      yield content.subarray(at, at + size)
  }
  Readable.from(pieces()).pipe(response)
}

async function serve(answer: (response: ServerResponse) => void): Promise<string> {
  const server = http.createServer((_request, response) => answer(response))
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`
}

async function request(url: string, agent = httpAgent): Promise<IncomingMessage> {
  const [answer] = (await once(http.get(url, { agent }), 'response')) as [IncomingMessage]
  return answer
}

/** Keeps what its connections have read, and is no listener. */
function recordReads(reads: Uint8Array[]): http.Agent {
  return new (class extends http.Agent {
    override createConnection(...given: Parameters<http.Agent['createConnection']>) {
      const socket = super.createConnection(...given)
      const emit = socket?.emit.bind(socket)
      if (socket && emit)
        socket.emit = (event: string, ...values: unknown[]) => {
          if (event === 'data') reads.push(values[0] as Uint8Array)
          return emit(event, ...values)
        }
      return socket
    }
  })()
}
