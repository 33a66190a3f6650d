import { chmodSync, mkdirSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { createArtifactStore, type WorkspaceDiff } from '@ws/core'
import { memoryStore } from '@ws/store-memory'
import stringWidth from 'string-width'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { renderDiff } from '../../src/index.ts'
import { actingCharacters, hostileTexts } from '../support/hostile-texts.ts'
import { diffOf, runInRepository } from '../support/run-in-repository.ts'

// oxlint-disable-next-line no-control-regex
const ownColors = /\u001b\[[0-9;]*m/g
const rowsOf = (text: string) => text.replace(ownColors, '').slice(0, -1).split('\n')

describe('the diff of a run with every kind of change', () => {
  let diff: WorkspaceDiff
  beforeAll(async () => {
    diff = diffOf(
      await runInRepository({
        before: {
          'src/app.ts': 'const a = 1\nconst b = 2\nconst c = 3\n',
          'old/name.md': 'moves as it is\n',
          'gone.txt': 'one\ntwo\n',
          'run.sh': 'echo\n',
          'logo.png': Buffer.from([0x89, 0x50, 0, 1]),
          link: 'a file\n',
        },
        after: {
          'src/app.ts': 'const a = 1\nconst b = 20\nconst c = 3\nconst d = 4',
          'new.txt': '漢字\n',
          'logo.png': Buffer.alloc(3000),
        },
        agent: (path) => {
          mkdirSync(`${path}/new`)
          renameSync(`${path}/old/name.md`, `${path}/new/name.md`)
          rmSync(`${path}/gone.txt`)
          chmodSync(`${path}/run.sh`, 0o755)
          rmSync(`${path}/link`)
          symlinkSync('run.sh', `${path}/link`)
          mkdirSync(`${path}/empty`)
        },
      }),
    )
  })

  it('begins with one row for each file: letter, path, counts, bar, and what else changed', () => {
    expect(rowsOf(renderDiff(diff, { color: false, width: 80, hunks: false }))).toEqual([
      '9 files changed, +4 −4',
      '',
      'A  empty/                           empty directory',
      'D  gone.txt                      −2 --',
      'T  link                       +1 −1 +- file → symbolic link',
      'M  logo.png                         binary 4 B → 2.9 KiB',
      'A  new.txt                       +1 +',
      'R  old/name.md → new/name.md',
      'A  old/                             empty directory',
      'X  run.sh                           mode 644 → 755',
      'M  src/app.ts                 +2 −1 ++-',
    ])
  })

  it('goes on with the lines, numbered before and after', () => {
    const rows = rowsOf(renderDiff(diff, { color: false, width: 60 }))
    const at = rows.indexOf('@@ -1,3 +1,4 @@')
    expect(rows[at - 1]).toMatch(/^── src\/app\.ts ─+$/)
    expect(rows.slice(at + 1)).toEqual([
      '1 1  const a = 1',
      '2   -const b = 2',
      '  2 +const b = 20',
      '3 3  const c = 3',
      '  4 +const d = 4 (no newline at the end)',
    ])
  })

  it('marks the words that changed', () => {
    expect(renderDiff(diff, { color: true, width: 60 })).toContain('\u001b[7m20\u001b[27m')
  })

  it('is the same text with and without colour', () => {
    const colored = renderDiff(diff, { color: true, width: 60 })
    expect(colored).not.toBe(renderDiff(diff, { color: false, width: 60 }))
    expect(colored.replace(ownColors, '')).toBe(renderDiff(diff, { color: false, width: 60 }))
  })

  it('has no row wider than the width', () => {
    for (const width of [40, 41, 57, 80, 200]) {
      for (const row of rowsOf(renderDiff(diff, { color: true, width })))
        expect(stringWidth(row)).toBeLessThanOrEqual(width)
    }
  })

  it('has no wider row either where it says what is left out', () => {
    for (const maxLines of [8, 12, 20, 40]) {
      for (const row of rowsOf(renderDiff(diff, { color: true, width: 40, maxLines })))
        expect(stringWidth(row)).toBeLessThanOrEqual(40)
    }
  })

  it('has no more rows than maxLines, says what is left out, and keeps the true sums', () => {
    const whole = rowsOf(renderDiff(diff, { width: 80, color: false })).length
    for (let maxLines = 8; maxLines < whole; maxLines += 1) {
      const rows = rowsOf(renderDiff(diff, { width: 80, color: false, maxLines }))
      expect(rows.length).toBeLessThanOrEqual(maxLines)
      expect(rows[0]).toBe('9 files changed, +4 −4')
      expect(rows.join('\n')).toContain('…')
    }
    expect(
      rowsOf(renderDiff(diff, { width: 80, color: false, maxLines: whole + 2 })).join('\n'),
    ).not.toContain('…')
  })
})

describe('hostile names and contents', () => {
  it('do not act on the terminal', async () => {
    const names = hostileTexts.filter((text) => !text.includes('/'))
    const run = await runInRepository({
      after: Object.fromEntries(names.map((name) => [name, `${hostileTexts.join(' ')}\n`])),
    })
    const text = renderDiff(diffOf(run), { color: true, width: 100 }).replace(ownColors, '')
    expect(text).not.toMatch(actingCharacters)
    expect(text).not.toContain('\r')
    expect(text).not.toContain('\t')
    expect(text).toContain('a<U+202E>cod.exe')
    expect(text).toContain('<ESC>]0;title<BEL>')
    expect(text).toContain('byte<FF><80>')
    for (const row of text.split('\n')) expect(stringWidth(row)).toBeLessThanOrEqual(100)
  })
})

describe('a large diff', () => {
  it('shows small files whole and lets the large ones share the rest', async () => {
    const run = await runInRepository({
      after: {
        'a-large.txt': 'line\n'.repeat(100_000),
        'b-small.txt': 'one\ntwo\n',
        'c-large.txt': 'x\n'.repeat(50_000),
      },
    })
    const rows = rowsOf(renderDiff(diffOf(run), { color: false, width: 80, maxLines: 60 }))
    expect(rows.length).toBeLessThanOrEqual(60)
    expect(rows).toContain('  1 +one')
    expect(rows).toContain('  2 +two')
    const notes = rows.filter((row) => row.startsWith('…'))
    const left = notes.map((row) => Number(row.replace(/\D/g, '')))
    const shown = rows.filter((row) => /^ *\d+ \+(line|x)$/.test(row.replace(/^ +/, ''))).length
    expect(left.reduce((sum, count) => sum + count, 0) + shown).toBe(150_000)
  })

  it('counts rows, not lines, when lines go on in the next row', async () => {
    const before = `${'a\n'.repeat(20)}${'b\n'.repeat(20)}`
    const long = `${'wide 漢字 '.repeat(40)}\n`
    const run = await runInRepository({
      before: { a: before, b: before },
      after: { a: `${long.repeat(3)}${before}${long.repeat(3)}`, b: `${long}${before}${long}` },
    })
    for (let maxLines = 8; maxLines < 90; maxLines += 3) {
      const text = renderDiff(diffOf(run), { color: false, width: 60, maxLines })
      expect(rowsOf(text).length).toBeLessThanOrEqual(maxLines)
      expect(text).not.toMatch(/@@\n@@/)
    }
  })

  it('fills maxLines exactly with files that have a row each, and counts the others', async () => {
    const run = await runInRepository({
      after: Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`f${index}`, 'x\n'])),
    })
    const rows = rowsOf(renderDiff(diffOf(run), { color: false, width: 80, maxLines: 12 }))
    expect(rows.length).toBeLessThanOrEqual(12)
    expect(rows).toContain('… and 32 more files (+32 −0)')
  })
})

describe('a diff without a patch', () => {
  const edit = { before: { a: 'one\n' }, after: { a: 'two\n' } }

  it('says the key when the patch is an artifact, and shows its lines when it is passed', async () => {
    const artifactStore = createArtifactStore(memoryStore())
    const diff = diffOf(await runInRepository({ ...edit, artifactStore }))
    const text = renderDiff(diff, { color: false, width: 200 })
    expect(text).toContain(`is in the artifact store under the key ${diff.patchRef}`)
    const patch = await artifactStore.get(diff.patchRef ?? '')
    expect(renderDiff(diff, { color: false, patch: patch ?? undefined })).toContain('  1 +two')
  })

  it('says that it was over the cap', async () => {
    const diff = diffOf(await runInRepository({ ...edit, maxPatchBytes: 10 }))
    expect(diff.patchOmitted).toBe(true)
    expect(renderDiff(diff, { color: false, width: 200 })).toMatch(
      /The patch \(\d+ B\) is over the cap.*SHA-256 is\s[0-9a-f]{64}/s,
    )
  })

  it('says that the hash backend keeps no content, and gives sizes', async () => {
    const diff = diffOf(
      await runInRepository({
        before: { a: 'one\n' },
        after: { a: 'longer\n', b: 'new\n' },
        strategy: 'hash',
      }),
    )
    expect(rowsOf(renderDiff(diff, { color: false, width: 60 }))).toEqual([
      '2 files changed',
      '',
      'M  a   4 B → 7 B',
      'A  b   4 B',
      '',
      'The hash backend keeps no content, so it knows which files',
      'changed but not which lines.',
    ])
  })

  it('says that precious files changed, whose content is in no patch', async () => {
    const run = await runInRepository({
      before: { '.gitignore': '.env\n', '.env': 'TOKEN=one\n' },
      after: { '.env': 'TOKEN=three\n' },
      precious: ['.env'],
    })
    expect(rowsOf(renderDiff(diffOf(run), { color: false, width: 120 }))).toEqual([
      '1 file changed',
      '',
      'M  .env   10 B → 12 B, precious, content left out',
      '',
      'No patch was made for this diff: only modes, empty directories or precious files changed, or capturePatch was off.',
    ])
  })

  it('says that nothing changed', async () => {
    expect(renderDiff(diffOf(await runInRepository({ before: { a: 'one\n' } })))).toBe('No changes.\n')
  })
})

describe('colour', () => {
  let diff: WorkspaceDiff
  beforeAll(async () => {
    diff = diffOf(await runInRepository({ after: { a: 'one\n' } }))
  })
  beforeEach(() => {
    for (const name of ['FORCE_COLOR', 'NO_COLOR']) vi.stubEnv(name, undefined)
    vi.stubEnv('TERM', 'xterm-256color')
  })
  afterEach(() => {
    vi.unstubAllEnvs()
  })
  const isColored = (options: Parameters<typeof renderDiff>[1]) =>
    renderDiff(diff, options).includes('\u001b[')
  const terminal = { isTTY: true, columns: 80 }

  it.each([
    ['on a terminal', terminal, {}, true],
    ['not in a pipe', {}, {}, false],
    ['not with NO_COLOR', terminal, { NO_COLOR: '1' }, false],
    ['with an empty NO_COLOR', terminal, { NO_COLOR: '' }, true],
    ['not on a dumb terminal', terminal, { TERM: 'dumb' }, false],
    ['in a pipe with FORCE_COLOR', {}, { FORCE_COLOR: '1' }, true],
    ['with FORCE_COLOR and NO_COLOR', {}, { FORCE_COLOR: '1', NO_COLOR: '1' }, true],
    ['not with FORCE_COLOR=0', terminal, { FORCE_COLOR: '0' }, false],
  ])('is used %s', (_, stream, environment, expected) => {
    for (const [name, value] of Object.entries(environment)) vi.stubEnv(name, value)
    expect(isColored({ stream })).toBe(expected)
  })

  it('is as asked whatever the stream', () => {
    expect(isColored({ color: true, stream: {} })).toBe(true)
    expect(isColored({ color: false, stream: terminal })).toBe(false)
  })

  it('takes the width from the stream', () => {
    const heading = renderDiff(diff, { stream: { columns: 50 } })
      .split('\n')
      .find((row) => row.startsWith('──'))
    expect(heading).toHaveLength(50)
  })
})
