import { Buffer } from 'node:buffer'

/**
 * The chunker as a WebAssembly module, assembled here from its instructions: `cut(start, end)` over imported memory
 * that begins with the gear table. The same as `createPlainChunker` does, three times faster.
 */

const I32 = 0x7f
const op = {
  block: 0x02,
  loop: 0x03,
  end: 0x0b,
  branch: 0x0c,
  branchIf: 0x0d,
  return: 0x0f,
  select: 0x1b,
  localGet: 0x20,
  localSet: 0x21,
  load: 0x28,
  loadByte: 0x2d,
  constant: 0x41,
  lessUnsigned: 0x49,
  notLessUnsigned: 0x4f,
  add: 0x6a,
  and: 0x71,
  shiftLeft: 0x74,
} as const

/** Locals: the two parameters first. */
const start = 0
const end = 1
const position = 2
const rolling = 3
const normal = 4

type Code = readonly (number | Code)[]

/** LEB128, signed. */
function number(value: number): number[] {
  const bytes: number[] = []
  for (let rest = value | 0; ; rest >>= 7) {
    const low = rest & 0x7f
    const isLast = (rest >> 7 === 0 && (low & 0x40) === 0) || (rest >> 7 === -1 && (low & 0x40) !== 0)
    bytes.push(isLast ? low : low | 0x80)
    if (isLast) return bytes
  }
}

const get = (local: number): Code => [op.localGet, local]
const set = (local: number): Code => [op.localSet, local]
const constant = (value: number): Code => [op.constant, number(value)]
const least = (left: Code, right: Code): Code => [left, right, left, right, op.lessUnsigned, op.select]
const startPlus = (bytes: number): Code => [get(start), constant(bytes), op.add]

/** Looks at bytes until a cut (returns) or until `limit` (leaves the block). */
function scan(limit: number, mask: number): Code {
  return [
    [op.block, 0x40, op.loop, 0x40],
    [get(position), get(limit), op.notLessUnsigned, op.branchIf, 1],
    // rolling = (rolling << 1) + gear[memory[position]]
    [get(rolling), constant(1), op.shiftLeft],
    [get(position), op.loadByte, 0, 0, constant(2), op.shiftLeft, op.load, 2, 0, op.add, set(rolling)],
    [get(position), constant(1), op.add, set(position)],
    // if ((rolling & mask) != 0) continue; return position
    [get(rolling), constant(mask), op.and, op.branchIf, 0],
    [get(position), op.return],
    [op.end, op.end],
  ]
}

function assemble(): Uint8Array<ArrayBuffer> {
  const body: Code = [
    [1, 3, I32],
    [least(get(end), startPlus(1024 * 1024)), set(end)],
    [least(get(end), startPlus(256 * 1024)), set(normal)],
    [startPlus(64 * 1024), set(position)],
    scan(normal, 0xffff_f000),
    scan(end, 0xffff_0000),
    [get(end), op.end],
  ]
  const text = (value: string): Code => [value.length, ...Buffer.from(value)]
  const section = (id: number, content: Code): Code => [id, withLength(content)]
  const type = section(1, [1, 0x60, 2, I32, I32, 1, I32])
  const memory = section(2, [1, text('host'), text('memory'), 2, 0, 1])
  const functions = section(3, [1, 0])
  const exported = section(7, [1, text('cut'), 0, 0])
  const code = section(10, [1, withLength(body)])
  const magic = [...Buffer.from('\0asm'), 1, 0, 0, 0]
  return Uint8Array.from(flatten([magic, type, memory, functions, exported, code]))
}

function withLength(content: Code): Code {
  const bytes = flatten(content)
  const low = bytes.length & 0x7f
  return [...(bytes.length < 0x80 ? [low] : [low | 0x80, bytes.length >> 7]), ...bytes]
}

function flatten(code: Code): number[] {
  return code.flatMap((part) => (typeof part === 'number' ? [part] : flatten(part)))
}

export const chunkerModule = assemble()
