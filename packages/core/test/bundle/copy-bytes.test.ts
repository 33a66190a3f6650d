import { describe, expect, it } from 'vitest'
import { copyBytes } from '../../src/bundle/copy-bytes.ts'

const memories = {
  'own memory': (bytes: number) => new Uint8Array(new ArrayBuffer(bytes)),
  'shared memory': (bytes: number) => new Uint8Array(new SharedArrayBuffer(bytes)),
}

describe.each(Object.entries(memories))('from %s', (_, makeFrom) => {
  it.each(Object.entries(memories))('to %s it copies each byte, and no other', (_name, makeTo) => {
    for (const length of [0, 1, 2, 7, 8, 9, 1000]) {
      for (const offset of [0, 3]) {
        const whole = makeFrom(length + 2 * offset).map((_byte, index) => index + 1)
        const to = makeTo(length + 10).fill(255)
        copyBytes(whole.subarray(offset, offset + length), to, 5)
        const copied = whole.slice(offset, offset + length)
        expect([...to]).toEqual([...Array(5).fill(255), ...copied, ...Array(5).fill(255)])
      }
    }
  })
})
