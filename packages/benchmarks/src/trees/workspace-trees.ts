import { cpSync, mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { walkTree } from '../walk-tree.ts'
import { writeFloats, writeJsonLines, writeNoise } from './generated-files.ts'
import { copyProjectTree } from './project-tree.ts'

type Log = (line: string) => void
const MEGABYTE = 1_000_000

/** S: 500 source files of the project, 5 MB. */
export async function writeSmallTree(destination: string, log: Log): Promise<void> {
  const project = `${destination}-project`
  await copyProjectTree(project, log)
  const found: string[] = []
  walkTree(project, (path, { size }) => {
    if (size >= 1000 && size <= 150_000 && /\.(?:[cm]?[jt]s|json|md)$/.test(path)) found.push(path)
  })
  found.sort()
  for (let index = 0; index < 500; index += 1) {
    const path = found[Math.floor((index * found.length) / 500)] ?? ''
    const copy = join(destination, relative(project, path))
    mkdirSync(dirname(copy), { recursive: true })
    cpSync(path, copy, { preserveTimestamps: true })
  }
  rmSync(project, { recursive: true })
}

/** L: the project and about 820 MB of big files: noise, a log, floats. A scale of 0.1 makes the big files a tenth. */
export async function writeLargeTree(destination: string, log: Log, scale = 1): Promise<void> {
  await copyProjectTree(destination, log)
  const folder = join(destination, 'data')
  mkdirSync(folder)
  const size = (megabytes: number): number => Math.round(megabytes * MEGABYTE * scale)
  writeNoise(join(folder, 'images.bin'), size(256), 1)
  writeNoise(join(folder, 'weights.bin'), size(64), 2)
  writeJsonLines(join(folder, 'events.jsonl'), size(360), 3)
  writeFloats(join(folder, 'samples.f32'), size(140), 4)
}

/** Small files, a hundred in each of the directories. */
export function writeManyFiles(destination: string, files: number): void {
  for (let index = 0; index < files; index += 1) {
    const folder = join(destination, `group-${Math.floor(index / 10_000)}`, `part-${Math.floor(index / 100)}`)
    if (index % 100 === 0) mkdirSync(folder, { recursive: true })
    writeFileSync(
      join(folder, `record-${index}.json`),
      `{ "id": ${index}, "value": "${(index * 2654435761) >>> 0}" }\n`.repeat(1 + (index % 20)),
    )
  }
}

/** One file: half of it a log, half of it noise. */
export function writeHugeFile(destination: string, bytes: number): void {
  mkdirSync(destination)
  const path = join(destination, 'disk.img')
  writeJsonLines(path, bytes / 2, 5)
  writeNoise(path, bytes / 2, 6)
}
