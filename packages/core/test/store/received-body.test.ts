import { receiveBody } from '@ws/core'
import { expect, it, vi } from 'vitest'

async function* long(): AsyncGenerator<Uint8Array> {
  for (let count = 0; count < 100; count += 1) yield new Uint8Array(4)
}

function received(chunks: AsyncIterable<Uint8Array>, expected: number) {
  const stop = vi.fn<() => void>()
  return { stop, body: receiveBody({ key: 'a', chunks, expected, stop, signal: undefined }) }
}

it('ends at the first byte too many, without handing it on', async () => {
  const { body, stop } = received(long(), 10)
  let bytes = 0
  const read = async () => {
    for await (const chunk of body) bytes += chunk.length
  }
  await expect(read()).rejects.toMatchObject({
    code: 'CORRUPT',
    message: 'The object "a" is damaged: more than its 10 bytes came.',
  })
  expect(bytes).toBe(8)
  expect(stop).toHaveBeenCalledOnce()
})

it('stops a body that is left early, and none that has come whole', async () => {
  const left = received(long(), 1_000)
  for await (const _ of left.body) break
  expect(left.stop).toHaveBeenCalledOnce()
  const whole = received(ReadableStream.from([new Uint8Array(4)]), 4)
  for await (const _ of whole.body);
  expect(whole.stop).not.toHaveBeenCalled()
})
