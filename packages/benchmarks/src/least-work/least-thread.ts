/** One of the two threads that do the least work of a save and of a restore: see `least-work.ts`. */
import {
  closeSync,
  fsyncSync,
  linkSync,
  lstatSync,
  openSync,
  readdirSync,
  readlinkSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import { BATCH_ENTRIES, isType, REGULAR_FILE, statOf, type KnownTree } from './known-tree.ts'
import { createPackPart, type PackPart } from './pack-part.ts'
import { restoreAll, restoreChanged } from './restore-part.ts'
import {
  counter,
  field,
  FIELDS,
  meet,
  raise,
  waitFor,
  type EntryBatch,
  type LeastTask,
  type ThreadData,
} from './shared-state.ts'

const { number, port, repository, counters, changed, packBytes } = workerData as ThreadData
/** A larger file is shared. */
const PART_BYTES = 16 * 1_048_576

const tree: KnownTree = { names: [], stats: [], latest: [], links: [], frames: [], hashes: new Set() }
let part: PackPart | null = null
let records = 0

parentPort?.on('message', ({ task, directory }: LeastTask) => {
  if (task === 'save') {
    if (tree.names.length === 0) saveFirst(directory)
    else saveAgain(directory)
    if (number === 0) putRecord()
  } else if (task === 'restore') restoreAll(directory, tree, packPath(), number, counters)
  else restoreChanged(directory, tree, packPath(), findChanged(directory, tree.stats))
  parentPort?.postMessage(null)
})

function packPath(): string {
  return join(repository, 'pack')
}

function openPart(): PackPart {
  return (part ??= createPackPart(openSync(packPath(), 'r+'), packBytes))
}

function saveFirst(directory: string): void {
  const pack = openPart()
  if (number === 0) {
    walk(directory)
    Atomics.store(counters, counter.isWalked, 1)
    // One for each thread, which has claimed a batch more than there are.
    raise(counters, counter.published, 2)
  }
  for (
    let batch = Atomics.add(counters, counter.claimed, 1);
    ;
    batch = Atomics.add(counters, counter.claimed, 1)
  ) {
    waitFor(counters, counter.published, (value) => value > batch)
    receive()
    const isOver = Atomics.load(counters, counter.isWalked) === 1
    if (isOver && batch >= Atomics.load(counters, counter.published) - 2) break
    takeBatch(pack, directory, batch)
  }
  receive()
  takeLarge(pack, directory)
  pack.flush()
  tree.frames.push(...pack.frames.splice(0))
  meet(counters, 1)
}

function walk(root: string): void {
  let names: string[] = []
  let links: string[] = []
  let stats = new Float64Array(BATCH_ENTRIES * FIELDS)
  const publish = (): void => {
    const batch: EntryBatch = { names, stats, links }
    take(batch)
    port.postMessage(batch)
    raise(counters, counter.published)
    names = []
    links = []
    stats = new Float64Array(BATCH_ENTRIES * FIELDS)
  }
  const visit = (directory: string, prefix: string): void => {
    for (const entry of readdirSync(directory, { withFileTypes: true })) {
      const path = `${directory}/${entry.name}`
      const { size, mtimeMs, mode } = lstatSync(path)
      stats.set([size, mtimeMs, mode], names.length * FIELDS)
      links.push(entry.isSymbolicLink() ? readlinkSync(path) : '')
      names.push(prefix + entry.name)
      if (names.length === BATCH_ENTRIES) publish()
      if (entry.isDirectory()) visit(path, `${prefix}${entry.name}/`)
    }
  }
  visit(root, '')
  publish()
}

function take({ names, stats, links }: EntryBatch): void {
  for (const name of names) tree.names.push(name)
  for (const link of links) tree.links.push(link)
  tree.stats.push(stats)
}

function receive(): void {
  for (let message = receiveMessageOnPort(port); message !== undefined; message = receiveMessageOnPort(port))
    take(message.message as EntryBatch)
}

function takeBatch(pack: PackPart, directory: string, batch: number): void {
  if (tree.stats[batch] === undefined) throw new Error('a batch was claimed that did not come')
  const end = Math.min(tree.names.length, (batch + 1) * BATCH_ENTRIES)
  for (let entry = batch * BATCH_ENTRIES; entry < end; entry += 1) {
    const size = statOf(tree, entry, field.size)
    if (size > 0 && size <= PART_BYTES && isType(tree, entry, REGULAR_FILE))
      addPart(pack, directory, entry, 0, size)
  }
}

/** By turns, which are the same for both threads. */
function takeLarge(pack: PackPart, directory: string): void {
  let turn = 0
  for (let entry = 0; entry < tree.names.length; entry += 1) {
    const size = statOf(tree, entry, field.size)
    if (size <= PART_BYTES || !isType(tree, entry, REGULAR_FILE)) continue
    for (let from = 0; from < size; from += PART_BYTES, turn += 1)
      if (turn % 2 === number) addPart(pack, directory, entry, from, Math.min(size, from + PART_BYTES))
  }
}

function addPart(pack: PackPart, directory: string, entry: number, from: number, to: number): void {
  pack.addFile(`${directory}/${tree.names[entry]}`, entry, from, to, () => true)
}

/** Half of the entries each; what differs is told to both. */
function findChanged(directory: string, known: readonly Float64Array[]): readonly number[] {
  const half = tree.names.length >> 1
  const [from, to] = number === 0 ? [0, half] : [half, tree.names.length]
  for (let entry = from; entry < to; entry += 1) {
    const found = lstatSync(`${directory}/${tree.names[entry]}`)
    const stats = known[Math.floor(entry / BATCH_ENTRIES)]
    const row = (entry % BATCH_ENTRIES) * FIELDS
    const isSame =
      found.size === stats?.[row + field.size] &&
      Math.abs(found.mtimeMs - (stats[row + field.mtimeMs] ?? 0)) < 0.01
    if (!isSame && found.isFile()) changed[raise(counters, counter.changed)] = entry
  }
  meet(counters, 1)
  return [...changed.subarray(0, Atomics.load(counters, counter.changed))]
}

/** Only blocks that were not there are stored; every file that differs is read and hashed as a whole. */
function saveAgain(directory: string): void {
  if (tree.latest.length === 0) tree.latest.push(...tree.stats.map((stats) => stats.slice()))
  const found = findChanged(directory, tree.latest)
  const pack = openPart()
  if (tree.hashes.size === 0)
    for (const { pieces } of tree.frames) for (const { hash } of pieces) tree.hashes.add(hash)
  for (const [turn, entry] of found.entries()) {
    const path = `${directory}/${tree.names[entry]}`
    const { size, mtimeMs } = lstatSync(path)
    tree.latest[Math.floor(entry / BATCH_ENTRIES)]?.set([size, mtimeMs], (entry % BATCH_ENTRIES) * FIELDS)
    if (turn % 2 === number) pack.addFile(path, entry, 0, size, (_, hash) => !tree.hashes.has(hash))
  }
  pack.flush()
  meet(counters, 2)
}

/** What has to be on the disk when a save returns: the pack, its name, the record, its name. */
function putRecord(): void {
  records += 1
  const isFirst = records === 1
  if (isFirst || Atomics.load(counters, counter.changed) > 0) {
    syncFile(packPath())
    if (isFirst) syncFile(repository)
  }
  const folder = join(repository, 'records')
  const temporary = join(folder, 'new')
  const fd = openSync(temporary, 'wx')
  writeSync(fd, Buffer.alloc(700, `record ${records}\n`))
  fsyncSync(fd)
  closeSync(fd)
  linkSync(temporary, join(folder, String(records)))
  unlinkSync(temporary)
  syncFile(folder)
}

function syncFile(path: string): void {
  const fd = openSync(path, 'r')
  fsyncSync(fd)
  closeSync(fd)
}
