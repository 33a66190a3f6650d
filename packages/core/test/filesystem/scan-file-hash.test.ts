import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  appendFileSync,
  lstatSync,
  mkdirSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fileEntry } from '../../src/filesystem/scan-entry.ts'
import { hashFile } from '../../src/filesystem/scan-file-hash.ts'
import { temporaryDirectory } from '../support/temporary-directory.ts'

const longAgoNs = 0n

function expectation(root: string, name = 'file') {
  return fileEntry(name, lstatSync(join(root, name), { bigint: true }), '', false)
}

function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex')
}

test('files of every size around the buffer are hashed like sha256sum does', () => {
  const root = temporaryDirectory()
  const mebibyte = 1024 * 1024
  for (const size of [0, 1, 1000, mebibyte - 1, mebibyte, mebibyte + 1, 3 * mebibyte + 17]) {
    const content = Buffer.alloc(size, 'some text ')
    writeFileSync(join(root, 'file'), content)
    const { outcome, entry } = hashFile(root, expectation(root), longAgoNs)
    expect([size, outcome, entry?.content]).toEqual([size, 'hashed', sha256(content)])
  }
})

test('a file that changed since its stat is read again, whole', () => {
  const root = temporaryDirectory()
  const file = join(root, 'file')
  for (const change of [
    () => appendFileSync(file, ' and more'),
    () => truncateSync(file, 2),
    () => writeFileSync(file, 'x'.repeat(2_000_000)),
  ]) {
    writeFileSync(file, 'content')
    const expected = expectation(root)
    change()
    const { outcome, entry } = hashFile(root, expected, longAgoNs)
    expect(outcome).toBe('hashed')
    expect(entry?.content).toBe(execFileSync('sha256sum', [file]).toString().slice(0, 64))
  }
})

test('what took the place of a file is neither followed, waited for nor read', () => {
  const root = temporaryDirectory()
  const file = join(root, 'file')
  writeFileSync(file, 'content')
  writeFileSync(join(root, 'secret'), 'secret')
  const expected = expectation(root)
  for (const swap of [
    () => symlinkSync('secret', file),
    () => symlinkSync('/dev/zero', file),
    () => execFileSync('mkfifo', [file]),
    () => mkdirSync(file),
  ]) {
    rmSync(file, { recursive: true, force: true })
    swap()
    expect(hashFile(root, expected, longAgoNs)).toEqual({ outcome: 'moved', entry: null })
  }
  rmSync(file, { recursive: true })
  expect(hashFile(root, expected, longAgoNs)).toEqual({ outcome: 'absent', entry: null })
})

test('a file that never stands still is given up after three readings and told', async () => {
  const root = temporaryDirectory()
  const file = join(root, 'file')
  writeFileSync(file, Buffer.alloc(24 * 1024 * 1024))
  const script = `
    const { openSync, writeSync } = require('node:fs')
    const descriptor = openSync(${JSON.stringify(file)}, 'r+')
    process.stdout.write('writing')
    for (let value = 0; ; value += 1) writeSync(descriptor, String(value), 0)`
  const writer = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    await once(writer.stdout, 'data')
    let found = hashFile(root, expectation(root), longAgoNs)
    for (let attempt = 0; attempt < 20 && found.outcome !== 'moved'; attempt += 1) {
      found = hashFile(root, expectation(root), longAgoNs)
    }
    expect(found).toMatchObject({ outcome: 'moved', entry: { path: 'file', type: 'file', settled: false } })
  } finally {
    writer.kill('SIGKILL')
    await once(writer, 'close')
  }
})
