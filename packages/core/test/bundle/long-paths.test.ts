import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { closeSync, linkSync, mkdirSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { archiveDirectory } from '../../src/bundle/archive/archive-directory.ts'
import { emptyNotes } from '../../src/bundle/archive/archive-notes.ts'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { checkBundle, extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { createBundleStore } from '../../src/bundle/create-bundle-store.ts'

let base = ''
let source = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-long-'))
  source = join(base, 'source')
  mkdirSync(source)
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

/** Nested directories, and two names of one file in the innermost. */
function makeChain(levels: number, nameBytes: number, fileBytes: number): void {
  const name = 'd'.repeat(nameBytes)
  let fd = openSync(source, 'r')
  for (let level = 0; level < levels; level += 1) {
    mkdirSync(`/proc/self/fd/${fd}/${name}`)
    const inner = openSync(`/proc/self/fd/${fd}/${name}`, 'r')
    closeSync(fd)
    fd = inner
  }
  writeFileSync(`/proc/self/fd/${fd}/file`, Buffer.alloc(fileBytes, 'x'))
  linkSync(`/proc/self/fd/${fd}/file`, `/proc/self/fd/${fd}/link`)
  closeSync(fd)
}

describe.runIf(process.platform === 'linux')('Paths far longer than the system takes at once', () => {
  it('go through a download and an upload', async () => {
    makeChain(120, 200, 10)
    const store = createBundleStore(memoryStore())
    await store.save('w', source, { message: '' })
    const archive = Buffer.concat(await Array.fromAsync((await store.download('w')) ?? []))
    await expect(store.upload('again', archive)).resolves.toMatchObject({ files: 2, directories: 121 })
  })

  it('leave room for a file that fills the rest of a block', async () => {
    makeChain(120, 200, 2 * 1024 * 1024 - 24 * 1024 - 600)
    const archive = Buffer.concat(await Array.fromAsync(createBundle(source)))
    await expect(checkBundle(archive)).resolves.toMatchObject({ files: 1, hardLinks: 1, directories: 121 })
  })

  it('are left out of a bundle, and listed, where no archive with them is taken', async () => {
    makeChain(330, 200, 10)
    const bundle = createBundle(source)
    const archive = Buffer.concat(await Array.fromAsync(bundle))
    const { skipped } = bundle.report()
    expect(skipped).toMatchObject([{ reason: 'unsupported-name' }])
    expect(skipped[0]?.path.length).toBeGreaterThanOrEqual(64 * 1024)
    await expect(checkBundle(archive)).resolves.toMatchObject({ files: 0, directories: 327 })
  })

  it('are archived however deep they are', () => {
    makeChain(3000, 1, 10)
    const notes = emptyNotes()
    for (const _ of archiveDirectory(source, [], notes, [])) continue
    expect(notes).toMatchObject({ totals: { files: 1, hardLinks: 1, directories: 3001 }, skipped: [] })
  })
})

it('Levels are those of directories, for an archive as for a load', async () => {
  mkdirSync(join(source, 'a/b'), { recursive: true })
  writeFileSync(join(source, 'a/b/file'), 'x')
  const archive = Buffer.concat(await Array.fromAsync(createBundle(source)))
  const store = createBundleStore(memoryStore())
  await store.save('w', source, { message: '' })
  for (const maxDepth of [2, 1]) {
    const limits = { maxDepth }
    const target = join(base, `target-${maxDepth}`)
    const loaded = await store.load('w', target, { limits }).catch((error: unknown) => error)
    const extracted = await extractBundle(archive, target, { limits }).catch((error: unknown) => error)
    const outcome = maxDepth === 2 ? {} : { code: 'QUOTA_EXCEEDED' }
    expect({ loaded, extracted }).toMatchObject({ loaded: outcome, extracted: outcome })
    expect(extracted instanceof Error).toBe(maxDepth === 1)
    rmSync(target, { recursive: true, force: true })
  }
})
