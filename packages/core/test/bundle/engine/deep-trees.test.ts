import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { memoryStore } from '@ws/store-memory'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createBundleStore } from '../../../src/bundle/create-bundle-store.ts'
import { makeDeepChain } from '../../support/deep-chain.ts'

/** As deep as a load allows when nobody says otherwise. */
const LEVELS = 4096

let base = ''

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-deep-'))
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

describe.runIf(process.platform === 'linux')('A tree as deep as the limit', () => {
  it('is saved, compared, read, loaded and downloaded like any other', async () => {
    const source = join(base, 'source')
    const bundles = createBundleStore(memoryStore())
    makeDeepChain(source, LEVELS, 'one')
    await bundles.save('w', source, { message: '' })
    makeDeepChain(source, LEVELS, 'two')
    await bundles.save('w', source, { message: '' })
    const contents: string[] = []
    for await (const { path, contentChanged } of bundles.diff('w', 1, 2)) {
      if (contentChanged) contents.push(path)
    }
    const expected = Array.from({ length: LEVELS + 1 }, (_, level) => `${'d/'.repeat(level)}f`)
    expect(contents.toSorted()).toEqual(expected.toSorted())

    const target = join(base, 'target')
    await bundles.load('w', target, { version: 1 })
    const loaded = await bundles.load('w', target)
    expect(loaded).toMatchObject({ report: { written: { files: LEVELS + 1 } } })

    const deepest = await bundles.readFile('w', `${'d/'.repeat(LEVELS)}f`)
    const read = await Array.fromAsync(deepest?.body ?? [])
    expect(Buffer.concat(read).toString()).toBe(`two ${LEVELS}`)

    const download = await bundles.download('w')
    const archive = Buffer.concat(await Array.fromAsync(download ?? []))
    const listed = execFileSync('tar', ['--zstd', '-t'], { input: archive, maxBuffer: 2 ** 30 })
    expect(listed.toString().trimEnd().split('\n')).toHaveLength(2 * LEVELS + 2)
  })
})
