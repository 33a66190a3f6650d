import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/**
 * A tree of the given size: one third bytes that do not compress, two thirds text that does; files from 4 KiB to 64 MiB.
 * The same for everybody.
 */
export function writeMixedTree(directory: string, bytes: number): void {
  const noise = pseudoRandom(16 * 1024 * 1024)
  const words = Array.from({ length: 4096 }, (_, index) =>
    createHash('md5')
      .update(`${index}`)
      .digest('hex')
      .slice(0, 3 + (index % 9)),
  )
  let written = 0
  for (let index = 0; written < bytes; index += 1) {
    const size = Math.min(bytes - written, sizes[index % sizes.length] ?? 4096)
    const folder = join(directory, `d${index % 50}`)
    mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, `f${index}`),
      index % 3 === 0 ? noiseOf(noise, index, size) : textOf(words, noise, index, size),
    )
    written += size
  }
}

const kibibyte = 1024
const sizes = [4, 16, 64, 4, 256, 1024, 16, 8192, 64, 4, 65_536, 16, 2048].map((size) => size * kibibyte)

function noiseOf(noise: Buffer, seed: number, size: number): Buffer {
  const content = Buffer.allocUnsafe(size)
  const mask = (seed * 37) & 0xff
  for (let at = 0; at < size; at += noise.length)
    noise.copy(content, at, 0, Math.min(noise.length, size - at))
  for (let at = 0; at < size; at += 512) content[at] = (content[at] ?? 0) ^ mask
  return content
}

function textOf(words: readonly string[], noise: Buffer, seed: number, size: number): Buffer {
  const line: string[] = []
  let length = 0
  for (
    let at = (seed * 7919) % noise.length;
    length < Math.min(size, 1024 * kibibyte);
    at = (at + 2) % (noise.length - 1)
  ) {
    const word = words[noise.readUInt16LE(at) & 4095] ?? ''
    line.push(word)
    length += word.length + 1
  }
  return Buffer.alloc(size, line.join(' '))
}

function pseudoRandom(size: number): Buffer {
  const parts: Buffer[] = []
  for (let index = 0; index * 64 < size; index += 1)
    parts.push(createHash('sha512').update(`block ${index}`).digest())
  return Buffer.concat(parts, size)
}
