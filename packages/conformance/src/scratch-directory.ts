import assert from 'node:assert/strict'
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { sampleBytes } from './check-bodies.ts'

/** Runs with a directory of its own, which is removed afterwards. */
export async function withScratchDirectory(work: (directory: string) => Promise<void>): Promise<void> {
  const directory = mkdtempSync(join(tmpdir(), 'ws-conformance-'))
  try {
    await work(directory)
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

export function writeFiles(directory: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(directory, path)), { recursive: true })
    writeFileSync(join(directory, path), content)
  }
  return directory
}

/** A small tree with one of everything that a version keeps, and one file of many chunks. */
export function writeSampleTree(directory: string): string {
  writeFiles(directory, {
    'README.md': '# sample\n',
    'src/deep/module.ts': 'export {}\n',
    'src/größe 100%#?.txt': 'odd name\n',
    'data/large.bin': sampleBytes(3_000_000),
    'data/empty': '',
  })
  for (let index = 0; index < 60; index += 1)
    writeFiles(directory, { [`many/${index}.txt`]: `file ${index}\n` })
  mkdirSync(join(directory, 'empty directory'))
  writeFiles(directory, { 'bin/run': '#!/bin/sh\n' })
  chmodSync(join(directory, 'bin/run'), 0o755)
  symlinkSync('../README.md', join(directory, 'src/link'))
  return directory
}

export function assertSameTree(actual: string, expected: string, what: string): void {
  assert.deepEqual(describeTree(actual), describeTree(expected), `${what}: the directories differ`)
}

function describeTree(directory: string): readonly string[] {
  const names = readdirSync(directory, { recursive: true, encoding: 'utf8' }).toSorted()
  return names.map((name) => {
    const path = join(directory, name)
    const stats = lstatSync(path)
    if (stats.isSymbolicLink()) return `${name} -> ${readlinkSync(path)}`
    if (stats.isDirectory()) return `${name}/`
    return `${name} ${stats.mode.toString(8)} ${readFileSync(path).toString('base64')}`
  })
}
