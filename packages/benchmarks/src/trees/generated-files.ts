import { createCipheriv } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'

const BLOCK_BYTES = 4 * 1024 * 1024

/** Appends bytes that do not compress and do not repeat; the same for everybody with the same seed. */
export function writeNoise(path: string, bytes: number, seed: number): void {
  const next = noiseSource(seed)
  writeBlocks(path, bytes, () => next(BLOCK_BYTES))
}

/** Appends lines of a JSON log, each different; compresses to about a fifth. */
export function writeJsonLines(path: string, bytes: number, seed: number): void {
  const next = noiseSource(seed)
  let number = 0
  writeBlocks(path, bytes, () => {
    const noise = next(BLOCK_BYTES / 16)
    let block = ''
    for (let at = 0; at + 16 <= noise.length && block.length < BLOCK_BYTES; at += 16) {
      const user = noise.readUInt16LE(at) % 5000
      const duration = (noise.readUInt16LE(at + 2) / 17).toFixed(2)
      const level = levels[(noise[at + 4] ?? 0) & 7] ?? 'info'
      const trace = noise.toString('hex', at + 5, at + 13)
      number += 1
      block += `{"line":${number},"level":"${level}","user":"user-${user}","durationMs":${duration},"trace":"${trace}","message":"request to /api/${paths[(noise[at + 13] ?? 0) & 3]}/${user} finished"}\n`
    }
    return Buffer.from(block)
  })
}

/** Appends 32-bit floats of a random walk, as a model or a recording has them; hardly compresses. */
export function writeFloats(path: string, bytes: number, seed: number): void {
  const next = noiseSource(seed)
  let value = 0
  writeBlocks(path, bytes, () => {
    const steps = next(BLOCK_BYTES / 4)
    const floats = new Float32Array(steps.length)
    for (let index = 0; index < floats.length; index += 1) {
      value += ((steps[index] ?? 0) - 127.5) / 1000
      floats[index] = value
    }
    return Buffer.from(floats.buffer)
  })
}

const levels = ['info', 'info', 'info', 'info', 'debug', 'debug', 'warn', 'error']
const paths = ['orders', 'customers', 'invoices', 'shipments']

function noiseSource(seed: number): (bytes: number) => Buffer {
  const key = Buffer.alloc(32, seed)
  const cipher = createCipheriv('aes-256-ctr', key, Buffer.alloc(16))
  return (bytes) => cipher.update(Buffer.alloc(bytes))
}

function writeBlocks(path: string, bytes: number, nextBlock: () => Buffer): void {
  const file = openSync(path, 'a')
  try {
    for (let left = bytes; left > 0;) {
      const block = nextBlock()
      left -= writeSync(file, block, 0, Math.min(block.length, left))
    }
  } finally {
    closeSync(file)
  }
}
