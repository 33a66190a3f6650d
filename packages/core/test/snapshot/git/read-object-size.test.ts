import { randomBytes } from 'node:crypto'
import { chmodSync, readdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { objectSizeReader } from '../../../src/snapshot/git/private/read-object-size.ts'
import type { PrivateRepository } from '../../../src/snapshot/git/private/private-repository.ts'
import { createFixture, type Fixture } from './git-fixture.ts'

/** Files that make deltas of each other, an empty one, and one whose size takes several bytes to say. */
function fill({ write, git }: Fixture): void {
  const lines = Array.from({ length: 400 }, (_, at) => `line ${at}`)
  for (let round = 0; round < 4; round += 1) {
    lines[round * 90] = `edited ${round}`
    write('grows.txt', lines.join('\n').repeat(round + 1))
    write('empty', '')
    write('noise', randomBytes(100_000 + round))
    git('add', '-A')
    git('commit', '-q', '-m', `round ${round}`)
  }
}

const repositoryOf = ({ path }: Fixture, format: 'sha1' | 'sha256'): PrivateRepository => ({
  directory: join(path, '.git'),
  format,
  written: { bytes: 0 },
})

function sizesByGit({ git }: Fixture): [string, string, number][] {
  const format = '--batch-check=%(objectname) %(objecttype) %(objectsize)'
  return git('cat-file', format, '--batch-all-objects')
    .trim()
    .split('\n')
    .map((line) => line.split(' '))
    .map(([id = '', type = '', size]) => [id, type, Number(size)])
}

describe('the size of an object, read without git', () => {
  it.each(['sha1', 'sha256'] as const)('is what git says, loose and in packs of %s', (format) => {
    const fixture = createFixture({ format })
    fill(fixture)
    const check = (): void => {
      const sizeOf = objectSizeReader(repositoryOf(fixture, format))
      const all = sizesByGit(fixture).filter(([, type]) => type === 'blob' || type === 'tree')
      expect(all.length).toBeGreaterThan(12)
      for (const [id, , size] of all) expect([id, sizeOf(id)]).toEqual([id, size])
      expect(sizeOf('1'.repeat(format === 'sha1' ? 40 : 64))).toBe(null)
    }
    check()
    for (const byOffset of ['true', 'false']) {
      fixture.git('-c', `repack.useDeltaBaseOffset=${byOffset}`, 'repack', '-a', '-d', '-f', '-q')
      const [index = ''] = readdirSync(join(fixture.path, '.git/objects/pack')).filter((name) =>
        name.endsWith('.idx'),
      )
      expect(fixture.git('verify-pack', '-v', `.git/objects/pack/${index}`)).toMatch(/chain length = 1/)
      check()
    }
  })

  it('is not told of a pack that was cut or overwritten', () => {
    const fixture = createFixture()
    fill(fixture)
    fixture.git('repack', '-a', '-d', '-f', '-q')
    const ids = sizesByGit(fixture)
    const packs = join(fixture.path, '.git/objects/pack')
    for (const name of readdirSync(packs)) {
      if (!name.endsWith('.pack')) continue
      chmodSync(join(packs, name), 0o600)
      truncateSync(join(packs, name), 0)
    }
    const sizeOf = objectSizeReader(repositoryOf(fixture, 'sha1'))
    for (const [id] of ids) expect(sizeOf(id)).toBe(null)
  })
})
