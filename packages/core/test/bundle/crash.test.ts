import { execFileSync, spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { once } from 'node:events'
import {
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  renameSync,
  writeFileSync,
  existsSync,
} from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mount } from '../support/mount.ts'
import { createBundle } from '../../src/bundle/archive/create-bundle.ts'
import { extractBundle } from '../../src/bundle/archive/extract-bundle.ts'
import { recoverDirectory } from '../../src/filesystem/work-directory.ts'
import { swapDirectory } from '../../src/filesystem/swap-directory.ts'
import { file, tarGz } from './tar-blocks.ts'
import { listTree, withoutTimes } from './tree-listing.ts'

let base = ''
let target = ''
const core = join(import.meta.dirname, '../../src/bundle')
const FILES = 120

beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-crash-'))
  target = join(base, 'target')
})

afterEach(() => {
  execFileSync('rm', ['-rf', base])
})

const generation = (text: string) =>
  tarGz(...Array.from({ length: FILES }, (_, index) => file(`d${index % 7}/f${index}`, text)))

/** Work directories carry the hash of the path that they belong to. */
const tagOf = (path: string): string => createHash('sha256').update(path).digest('hex').slice(0, 12)

function contents(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => readFileSync(join(entry.parentPath, entry.name), 'utf8'))
}

describe('a process killed while it extracts', () => {
  it.each([false, true])(
    'leaves the old content or the new one, whole (keepDirectory: %s)',
    async (keepDirectory) => {
      writeFileSync(join(base, 'a.tar.gz'), generation('a'))
      writeFileSync(join(base, 'b.tar.gz'), generation('b'))
      const script = join(base, 'child.ts')
      writeFileSync(
        script,
        `import { readFileSync } from 'node:fs'
       import { extractBundle } from ${JSON.stringify(join(core, 'archive/extract-bundle.ts'))}
       const [a, b] = ['a', 'b'].map((name) => readFileSync(${JSON.stringify(base)} + '/' + name + '.tar.gz'))
       console.log('ready')
       for (;;) for (const bytes of [a, b]) await extractBundle(bytes, ${JSON.stringify(target)}, { keepDirectory: ${keepDirectory} })`,
      )
      await extractBundle(generation('a'), target)
      for (let round = 0; round < 10; round += 1) {
        const child = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
        await once(child.stdout, 'data')
        await new Promise((resolve) => setTimeout(resolve, (round * 37) % 90))
        child.kill('SIGKILL')
        await once(child, 'exit')
        await recoverDirectory(target)
        const found = contents(target)
        expect(found).toHaveLength(FILES)
        expect(new Set(found).size).toBe(1)
        expect(readdirSync(base).sort()).toEqual(['a.tar.gz', 'b.tar.gz', 'child.ts', 'target'])
        expect(readdirSync(target).filter((name) => name.startsWith('.ws-'))).toEqual([])
      }
    },
  )

  it('between the two renames has its old content put back by the next call', async () => {
    await extractBundle(generation('a'), target)
    const script = join(base, 'child.ts')
    const work = join(import.meta.dirname, '../../src/filesystem/work-directory.ts')
    writeFileSync(
      script,
      `import { renameSync } from 'node:fs'
       import { createWorkDirectory } from ${JSON.stringify(work)}
       const work = createWorkDirectory(${JSON.stringify(target)}, false)
       renameSync(${JSON.stringify(target)}, work.path + '/old')
       process.kill(process.pid, 'SIGKILL')`,
    )
    const child = spawn(process.execPath, [script])
    await once(child, 'exit')
    expect(existsSync(target)).toBe(false)
    for await (const chunk of createBundle(target)) expect(chunk.length).toBeGreaterThan(0)
    expect(contents(target)).toHaveLength(FILES)
    expect(readdirSync(base).sort()).toEqual(['child.ts', 'target'])
  })

  /** What a process that is dead now left in the target. */
  function leaveWork(): string {
    const identity = {
      pid: 2 ** 22 + 7,
      startTicks: '1',
      bootId: 'another boot',
      pidNamespace: null,
      host: hostname(),
    }
    const work = join(target, `.ws-work-${tagOf(target)}-${identity.pid}-1-0123456789ab`)
    mkdirSync(join(work, 'new'), { recursive: true })
    mkdirSync(join(work, 'old'))
    writeFileSync(join(work, 'owner'), JSON.stringify(identity))
    return work
  }

  it.each(['moving-out', 'moving-in'])(
    'in an exchange of entries, at %s, has it ended by the next call',
    async (mark) => {
      mkdirSync(target)
      for (const name of ['old1', 'old2']) writeFileSync(join(target, name), 'old')
      const work = leaveWork()
      for (const name of ['new1', 'new2']) writeFileSync(join(work, 'new', name), 'new')
      writeFileSync(join(work, 'moving-out'), '')
      renameSync(join(target, 'old1'), join(work, 'old/old1'))
      if (mark === 'moving-in') {
        renameSync(join(target, 'old2'), join(work, 'old/old2'))
        writeFileSync(join(work, 'moving-in'), '')
        renameSync(join(work, 'new/new1'), join(target, 'new1'))
      }
      await recoverDirectory(target)
      expect(readdirSync(target)).toEqual(mark === 'moving-in' ? ['new1', 'new2'] : ['old1', 'old2'])
    },
  )

  it('while a directory that cannot be renamed moved out entry by entry, has all of it put back by the next call', async () => {
    mkdirSync(join(target, 'd/inner'), { recursive: true })
    for (const name of ['d/1', 'd/2', 'd/inner/3', 'd/inner/4']) writeFileSync(join(target, name), 'old')
    const before = withoutTimes(listTree(target))
    const work = leaveWork()
    writeFileSync(join(work, 'moving-out'), '')
    mkdirSync(join(work, 'old/d/inner'), { recursive: true })
    for (const name of ['d/1', 'd/inner/3']) renameSync(join(target, name), join(work, 'old', name))
    await recoverDirectory(target)
    expect(withoutTimes(listTree(target))).toEqual(before)
  })
})

describe('a swap', () => {
  it('that fails puts the old content back', () => {
    const work = join(base, 'work')
    mkdirSync(work)
    mkdirSync(target)
    writeFileSync(join(target, 'old'), '')
    expect(() => swapDirectory(work, target, true)).toThrow(/ENOENT/)
    expect(readdirSync(target)).toEqual(['old'])
  })

  it('of a mount point exchanges its entries', async () => {
    mkdirSync(target)
    const unmount = mount(target, '-t', 'tmpfs', '-o', 'size=4m', 'tmpfs')
    try {
      writeFileSync(join(target, 'old'), 'old')
      await extractBundle(generation('a'), target)
      expect(contents(target)).toHaveLength(FILES)
      expect(existsSync(join(target, 'old'))).toBe(false)
    } finally {
      unmount()
    }
  })

  it('of a bind mount exchanges its entries', async () => {
    const origin = join(base, 'origin')
    mkdirSync(target)
    mkdirSync(origin)
    const unmount = mount(target, '--bind', origin)
    try {
      writeFileSync(join(target, 'old'), 'old')
      await extractBundle(generation('a'), target)
      expect(contents(origin)).toHaveLength(FILES)
    } finally {
      unmount()
    }
  })
})

describe('somebody who swaps directories of the target for links', () => {
  it('cannot make a merge write outside', async () => {
    const outside = join(base, 'outside')
    mkdirSync(outside)
    mkdirSync(join(target, 'd'), { recursive: true })
    const script = join(base, 'attacker.ts')
    writeFileSync(
      script,
      `import { mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
       const d = ${JSON.stringify(join(target, 'd'))}
       console.log('ready')
       const attempt = (work) => { try { work() } catch {} }
       for (;;) {
         attempt(() => renameSync(d, d + '-away'))
         attempt(() => symlinkSync(${JSON.stringify(outside)}, d))
         attempt(() => rmSync(d, { force: true }))
         attempt(() => renameSync(d + '-away', d))
       }`,
    )
    const archive = tarGz(...Array.from({ length: 40 }, (_, index) => file(`d/f${index}`, 'x')))
    const attacker = spawn(process.execPath, [script], { stdio: ['ignore', 'pipe', 'inherit'] })
    try {
      await once(attacker.stdout, 'data')
      for (let round = 0; round < 30; round += 1) {
        // The attacker can make the call fail, but only with an error.
        await extractBundle(archive, target, { mode: 'merge' }).catch((error: unknown) =>
          expect(error).toBeInstanceOf(Error),
        )
        expect(readdirSync(outside)).toEqual([])
      }
    } finally {
      attacker.kill('SIGKILL')
      await once(attacker, 'exit')
    }
  })
})
