import { createServer, request as sendRequest, type IncomingHttpHeaders } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'

const SIGNED_CHUNKS = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'

/**
 * A proxy for clients such as restic's, which on plain HTTP send bodies in signed chunks, to a server that would keep the
 * frames of the chunks as content. The signatures go; the server must be one that checks none.
 */
export async function startChunkDecoder(
  target: string,
): Promise<{ readonly origin: string; stop(): Promise<void> }> {
  const server = createServer((incoming, outgoing) => {
    const isSigned = incoming.headers['x-amz-content-sha256'] === SIGNED_CHUNKS
    const headers = isSigned ? plainHeaders(incoming.headers) : incoming.headers
    const { method, url = '/' } = incoming
    const onward = sendRequest(new URL(url, target), { method, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
      pipeline(answer, outgoing).catch(() => outgoing.destroy())
    })
    onward.on('error', () => outgoing.destroy())
    const sent = isSigned ? pipeline(incoming, decodeChunks(), onward) : pipeline(incoming, onward)
    sent.catch(() => outgoing.destroy())
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  return {
    origin: `http://127.0.0.1:${port}`,
    async stop() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

function plainHeaders(given: IncomingHttpHeaders): IncomingHttpHeaders {
  const { 'content-encoding': _encoding, 'x-amz-decoded-content-length': length, ...headers } = given
  return { ...headers, 'content-length': String(length), 'x-amz-content-sha256': 'UNSIGNED-PAYLOAD' }
}

/** Each chunk is `<hex length>;chunk-signature=<hex>\r\n<bytes>\r\n`; the last has no bytes. */
function decodeChunks(): Transform {
  let header = ''
  let bytesLeft = 0
  return new Transform({
    transform(piece: Buffer, _encoding, done) {
      for (let position = 0; position < piece.length;) {
        if (bytesLeft > 0) {
          const part = piece.subarray(position, position + bytesLeft)
          this.push(part)
          bytesLeft -= part.length
          position += part.length
          continue
        }
        header += String.fromCharCode(piece[position] ?? 0)
        position += 1
        if (header === '\r\n') header = ''
        else if (header.endsWith('\r\n')) {
          bytesLeft = Number.parseInt(header, 16)
          header = ''
        }
      }
      done()
    },
  })
}
