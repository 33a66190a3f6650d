import { Readable, pipeline } from 'node:stream'
import { createDeflate } from 'node:zlib'

const ALPHABET = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz!#$%&()*+-;<=>?@^_`{|}~'
const LINE_BYTES = 52
const LINES_PER_CHUNK = 1024

/**
 * One half of a `GIT binary patch`: the whole content, deflated, in lines of git's base 85. Nothing of it is kept, so
 * that files of any size pass.
 */
export async function* writeLiteral(
  content: AsyncIterable<Uint8Array>,
  bytes: number,
): AsyncGenerator<Uint8Array, void, void> {
  yield Buffer.from(`literal ${bytes}\n`)
  const deflated = createDeflate()
  // The callback's error is the one that reading the stream throws.
  pipeline(Readable.from(content, { objectMode: true }), deflated, () => undefined)
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of deflated) {
    rest = Buffer.concat([rest, chunk as Buffer])
    const whole = rest.length - (rest.length % LINE_BYTES)
    yield* encodeLines(rest.subarray(0, whole))
    rest = rest.subarray(whole)
  }
  yield* encodeLines(rest)
  yield Buffer.from('\n')
}

function* encodeLines(bytes: Buffer): Generator<Uint8Array, void, void> {
  let text = ''
  for (let at = 0, lines = 1; at < bytes.length; at += LINE_BYTES, lines += 1) {
    text += encodeLine(bytes.subarray(at, at + LINE_BYTES))
    if (lines % LINES_PER_CHUNK !== 0) continue
    yield Buffer.from(text)
    text = ''
  }
  if (text !== '') yield Buffer.from(text)
}

/** The first character is the count of bytes: A to Z for 1 to 26, a to z for 27 to 52. */
function encodeLine(bytes: Buffer): string {
  const { length } = bytes
  let line = String.fromCodePoint(length <= 26 ? length + 64 : length + 70)
  for (let at = 0; at < length; at += 4) {
    let word = 0
    for (let index = 0; index < 4; index += 1) word = word * 256 + (bytes[at + index] ?? 0)
    let digits = ''
    for (let index = 0; index < 5; index += 1) {
      digits = (ALPHABET[word % 85] ?? '') + digits
      word = Math.floor(word / 85)
    }
    line += digits
  }
  return `${line}\n`
}
