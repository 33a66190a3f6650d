import { execFileSync } from 'node:child_process'
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { closeDirectory, openRoot, type DirectoryHandle } from '../../src/filesystem/directory-handle.ts'
import { removeTree } from '../../src/filesystem/remove-tree.ts'
import { makeDeepChain } from '../support/deep-chain.ts'

let base = ''
let parent: DirectoryHandle

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-remove-'))
  parent = openRoot(base)
})

afterEach(() => {
  closeDirectory(parent)
  execFileSync('rm', ['-rf', base])
})

/** Removes it, and says how many files this process had open at most meanwhile. */
async function mostOpen(name: string): Promise<number> {
  let most = 0
  await removeTree(parent, name, {
    pauseWhenDue() {
      most = Math.max(most, readdirSync('/proc/self/fd').length)
      return undefined
    },
  })
  return most
}

describe.runIf(process.platform === 'linux')('Removing a tree', () => {
  it('opens no more directories at once at 2,048 levels than at 512', async () => {
    makeDeepChain(join(base, 'less'), 512, 'x')
    makeDeepChain(join(base, 'more'), 2048, 'x')
    const most = await mostOpen('less')
    expect(await mostOpen('more')).toBe(most)
    expect(readdirSync(base)).toEqual([])
  })

  it('goes through no link, however deep it lies', async () => {
    mkdirSync(join(base, 'outside'))
    writeFileSync(join(base, 'outside/kept'), 'kept')
    const levels = join(base, 'tree', ...Array.from({ length: 200 }, () => 'd'))
    mkdirSync(levels, { recursive: true })
    symlinkSync(join(base, 'outside'), join(levels, 'link'))
    await removeTree(parent, 'tree')
    expect(existsSync(join(base, 'tree'))).toBe(false)
    expect(readFileSync(join(base, 'outside/kept'), 'utf8')).toBe('kept')
  })
})
