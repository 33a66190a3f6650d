import { createHash } from 'node:crypto'
import { createArtifactStore, type RunRecord } from '@ws/core'
import { memoryStore } from '@ws/store-memory'
import { parse, type DefaultTreeAdapterTypes } from 'parse5'
import { beforeAll, describe, expect, it } from 'vitest'
import { renderReport, type ReportedRun } from '../../src/index.ts'
import { actingCharacters, hostileTexts } from '../support/hostile-texts.ts'
import { runInRepository, type RepositoryRun } from '../support/run-in-repository.ts'

type Element = DefaultTreeAdapterTypes.Element

/** Every element of the page, as a browser's parser sees it; a parse error fails the test. */
function elementsOf(page: string): Element[] {
  const errors: string[] = []
  const document = parse(page, { onParseError: (error) => errors.push(error.code) })
  expect(errors).toEqual([])
  const found: Element[] = []
  const visit = (node: DefaultTreeAdapterTypes.Node): void => {
    if ('tagName' in node) found.push(node)
    if ('childNodes' in node) for (const child of node.childNodes) visit(child)
  }
  visit(document)
  return found
}

function textOf(node: DefaultTreeAdapterTypes.Node): string {
  if ('value' in node) return node.value
  return 'childNodes' in node ? node.childNodes.map(textOf).join('') : ''
}

const attribute = (element: Element, name: string) => element.attrs.find((each) => each.name === name)?.value
const byClass = (elements: readonly Element[], name: string) =>
  elements.filter((element) => attribute(element, 'class')?.split(' ').includes(name))
const textsOf = (elements: readonly Element[]) =>
  elements.map((element) => textOf(element).replaceAll(/\s+/g, ' ').trim())
const byTag = (elements: readonly Element[], name: string) =>
  elements.filter((element) => element.tagName === name)

function expectSafe(page: string): Element[] {
  expect(page.isWellFormed()).toBe(true)
  expect(page).not.toMatch(actingCharacters)
  const elements = elementsOf(page)
  expect(byTag(elements, 'script')).toHaveLength(1)
  expect(byTag(elements, 'style')).toHaveLength(1)
  const allowed =
    'a b body button code dd del details div dl dt figcaption figure h1 h2 head header html i img input ins kbd li main mark meta nav ol p pre script section span strong style summary time title ul'.split(
      ' ',
    )
  expect(elements.map((element) => element.tagName).filter((name) => !allowed.includes(name))).toEqual([])
  for (const { tagName, attrs } of elements) {
    for (const { name, value } of attrs) {
      expect(`${tagName} ${name}`).not.toMatch(/ (on.*|style|srcset|action|srcdoc)$/)
      if (name === 'href') expect(value).toMatch(/^#[a-z]+(-\d+)?$/)
      if (name === 'src') expect(value).toMatch(/^data:image\/(png|jpeg|gif|webp);base64,[A-Za-z0-9+/=]*$/)
      if (name === 'id') expect(value).toMatch(/^[a-z]+(-[a-z0-9]+)?$/)
    }
  }
  return elements
}

describe('the report of a run', () => {
  let run: RepositoryRun
  let elements: Element[]
  beforeAll(async () => {
    run = await runInRepository({
      before: {
        'src/deep/app.ts': 'const a = 1\nconst b = 2\n',
        'gone.txt': 'one\n',
        'kept.txt': 'x\n',
        '.gitignore': 'ignored\n',
        'old-name.txt': 'the same\n'.repeat(3),
      },
      after: {
        'src/deep/app.ts': 'const a = 1\nconst b = 20\n',
        'gone.txt': null,
        'old-name.txt': null,
        'new-name.txt': 'the same\n'.repeat(3),
        'src/new.ts': 'one\ntwo\nthree\n',
        ignored: 'x',
      },
      agent: () => {
        throw new Error('the tests failed')
      },
      rollbackOnFailure: true,
      metadata: { model: 'm' },
    })
    elements = expectSafe(renderReport(run.result, { events: run.events }))
  })

  it('begins with what was run, how it ended and why', () => {
    expect(textsOf(byTag(elements, 'h1'))).toEqual(['task-1 failed'])
    expect(textsOf(byTag(elements, 'title'))).toEqual(['task-1: run failed'])
    expect(textsOf(byClass(elements, 'alert'))).toEqual(['The agent failed Error the tests failed'])
    expect(textsOf(byClass(elements, 'tiles'))[0]).toBe(
      '4 files changed +4 lines added −2 lines removed Rolled back and verified',
    )
  })

  it('has every event in the timeline', () => {
    const rows = textsOf(
      byTag(
        byClass(elements, 'timeline').flatMap((list) => list.childNodes as Element[]),
        'li',
      ),
    )
    expect(rows).toHaveLength(run.events.length)
    expect(rows.join('\n')).toMatch(
      /Run started\n.*Snapshot before.*\n.*Agent failed\n.*Snapshot after failure.*\n.*Diff computed 5 paths, \+7 −5, with 1 rename as removed and added\n.*Rolled back.*\n.*Run finished/,
    )
  })

  it('has the files as a tree that leads to each of them', () => {
    const links = byTag(elements, 'a').filter((link) => attribute(link, 'data-file') !== undefined)
    expect(textsOf(links)).toEqual(['Mapp.ts+1−1', 'Anew.ts+3', 'Dgone.txt−1', 'Rnew-name.txt'])
    const ids = new Set(elements.map((element) => attribute(element, 'id')))
    for (const link of links) expect(ids).toContain(attribute(link, 'href')?.slice(1))
  })

  it('shows lines side by side, with numbers and the words that changed', () => {
    expect(textsOf(byTag(elements, 'del'))).toEqual(['one', 'const b = 2'])
    expect(textsOf(byTag(elements, 'ins'))).toEqual(['const b = 20', 'one', 'two', 'three'])
    expect(textsOf(byTag(elements, 'mark'))).toEqual(['2', '20'])
    expect(byTag(elements, 'ins').map((line) => attribute(line, 'data-n'))).toEqual(['2', '1', '2', '3'])
  })

  it('says what the rollback did and how that is known', () => {
    expect(textsOf(byClass(elements, 'paths')).slice(0, 2)).toEqual([
      'gone.txtold-name.txtsrc/deep/app.ts',
      'new-name.txtsrc/new.ts',
    ])
    expect(textsOf(byClass(elements, 'card'))[1]).toContain('Verified: in a capture made afterwards')
  })

  it('says what was not captured', () => {
    const coverage = textsOf(byClass(elements, 'card'))[2]
    expect(coverage).toContain('after_failure')
    expect(coverage).toContain('ignored 1')
  })

  it('holds the record as JSON that parses to the same record', () => {
    const json = elements.find((element) => attribute(element, 'id') === 'record-json')
    expect(JSON.parse(json === undefined ? '' : textOf(json))).toEqual(run.result.record)
  })

  it('makes no request and runs no code but its own, by policy', () => {
    const [policy] = byTag(elements, 'meta').filter(
      (meta) => attribute(meta, 'http-equiv') === 'Content-Security-Policy',
    )
    const hash = (tag: string) =>
      `'sha256-${createHash('sha256').update(byTag(elements, tag).map(textOf).join('')).digest('base64')}'`
    expect(policy && attribute(policy, 'content')).toBe(
      `default-src 'none'; style-src ${hash('style')}; script-src ${hash('script')}; img-src data:; base-uri 'none'; form-action 'none'`,
    )
    const [style, script] = [byTag(elements, 'style'), byTag(elements, 'script')].map((found) =>
      found.map(textOf).join(''),
    )
    expect(style).not.toMatch(/url\(|@import/)
    expect(script).not.toMatch(
      /innerHTML|outerHTML|insertAdjacent|document\.write|eval|fetch|XMLHttp|import\(/,
    )
  })

  it('is the same when the result was stored as JSON', () => {
    const stored = JSON.parse(JSON.stringify(run.result)) as ReportedRun
    expect(renderReport(stored, { events: run.events })).toBe(
      renderReport(run.result, { events: run.events }),
    )
  })
})

describe('hostile names and contents', () => {
  it('are text on the page, whatever they try', async () => {
    const names = hostileTexts.filter((text) => !text.includes('/'))
    const content = `${[...hostileTexts, '</script><script>alert(1)</script>', '</style></title></textarea>'].join(' ')}\n`
    const { result, events } = await runInRepository({
      before: Object.fromEntries(names.map((name) => [name, 'x\n'])),
      after: Object.fromEntries(names.map((name) => [name, content])),
      agent: () => {
        throw new Error(content)
      },
      rollbackOnFailure: true,
      metadata: { content },
      onEvent: undefined,
    })
    const page = renderReport(result, {
      events,
      images: new Map(names.map((name) => [name, { after: Buffer.from(content) }])),
    })
    const elements = expectSafe(page)
    const paths = byClass(elements, 'path').map(textOf)
    expect(paths).toContain('<script>alert(1)<script>')
    expect(paths).toContain('"><img src=x onerror=alert(1)>')
    expect(paths).toContain('a<U+202E>cod.exe')
    expect(paths).toHaveLength(names.length)
    const added = byTag(elements, 'ins').map(textOf).join('\n')
    const attack = '</script><script>alert(1)</script> </style></title></textarea>'
    expect(added.split(attack)).toHaveLength(names.length + 1)
  })

  it('are text in every field of a stored run', async () => {
    const { result, events } = await runInRepository({ before: { a: 'x\n' }, after: { a: 'y\n' } })
    for (const text of [...hostileTexts, '</script><script>alert(1)</script>', '" onload="alert(1)']) {
      const replaced = JSON.stringify({ ...result, events }, (key, value: unknown) =>
        typeof value === 'string' && !['patch', 'status', 'patchEncoding'].includes(key) ? text : value,
      )
      const run = JSON.parse(replaced) as ReportedRun & { events: typeof events }
      const record: RunRecord = {
        ...run.record,
        warnings: [text],
        error: { name: text, code: null, message: text },
      }
      expectSafe(renderReport({ ...run, record }, { events: run.events }))
    }
  })
})

describe('images', () => {
  const png = Buffer.from(
    'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==',
    'base64',
  )
  const svg = Buffer.from('<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>')
  const pageWith = async (images: Parameters<typeof renderReport>[1]) => {
    const { result } = await runInRepository({ before: { 'a.png': svg }, after: { 'a.png': png } })
    return expectSafe(renderReport(result, images))
  }

  it('are shown before and after, by their first bytes', async () => {
    const jpeg = Buffer.from([0xff, 0xd8, 0xff, 0xe0])
    const elements = await pageWith({ images: new Map([['a.png', { before: jpeg, after: png }]]) })
    expect(byTag(elements, 'img').map((image) => attribute(image, 'src'))).toEqual([
      `data:image/jpeg;base64,${jpeg.toString('base64')}`,
      `data:image/png;base64,${png.toString('base64')}`,
    ])
    expect(byTag(elements, 'img').map((image) => attribute(image, 'alt'))).toEqual(['Before', 'After'])
  })

  it('are never SVG, and never over the cap', async () => {
    const elements = await pageWith({
      images: new Map([['a.png', { before: svg, after: png }]]),
      maxImageBytes: 10,
    })
    expect(byTag(elements, 'img')).toEqual([])
    expect(textsOf(byTag(elements, 'figure'))).toEqual([
      'Before 59 B Not shown: not a PNG, JPEG, GIF or WebP image.',
      'After 70 B Not shown: over the cap for images.',
    ])
  })

  it('stop at eight times the cap of one', async () => {
    const { result } = await runInRepository({
      after: Object.fromEntries(Array.from({ length: 12 }, (_, index) => [`${index}.png`, png])),
    })
    const images = new Map(Array.from({ length: 12 }, (_, index) => [`${index}.png`, { after: png }]))
    const elements = expectSafe(renderReport(result, { images, maxImageBytes: png.byteLength }))
    expect(byTag(elements, 'img')).toHaveLength(8)
  })
})

describe('caps', () => {
  it('are kept for a file and for the whole, and say what is left out', async () => {
    const { result } = await runInRepository({
      after: {
        a: 'line\n'.repeat(5_000),
        b: 'line\n'.repeat(400),
        c: `${'x'.repeat(1000)}\n`.repeat(900),
        d: 'one\n',
      },
      maxPatchBytes: 8 * 1024 * 1024,
    })
    const linesIn = (page: string) => byTag(expectSafe(page), 'ins').length
    const page = renderReport(result)
    expect(linesIn(page)).toBe(3_000 + 400 + 524 + 1)
    expect(page).toContain('2,000 more lines not shown')
    expect(page).toContain('376 more lines not shown')
    expect(linesIn(renderReport(result, { maxLines: 100 }))).toBe(100)
    expect(linesIn(renderReport(result, { maxLinesPerFile: 10 }))).toBe(31)
    expect(renderReport(result, { maxFiles: 1 })).toContain('3 more files not shown')
  })

  it('leave large files and deleted files closed, and small ones open', async () => {
    const { result } = await runInRepository({
      before: { gone: 'x\n' },
      after: { gone: null, large: 'line\n'.repeat(501), small: 'y\n' },
    })
    const files = byClass(elementsOf(renderReport(result)), 'file')
    expect(files.map((file) => attribute(file, 'open') !== undefined)).toEqual([false, false, true])
  })

  it('hold for paths that are thousands of directories deep', async () => {
    const { result } = await runInRepository({ before: { a: 'x\n' }, after: { a: 'y\n' } })
    const deep = `${'d/'.repeat(1_500)}file`
    const text = JSON.stringify(result).replaceAll('"path":"a"', `"path":"${deep}"`)
    const elements = expectSafe(renderReport(JSON.parse(text) as ReportedRun))
    expect(byClass(elements, 'name').map(textOf)).toEqual([`${'d/'.repeat(1_488)}file`])
  })
})

describe('a run without a diff to show', () => {
  it('says that the workspace was not looked at', async () => {
    const { result } = await runInRepository({ enabled: false })
    expect(textsOf(byClass(expectSafe(renderReport(result)), 'empty'))).toEqual([
      'The workspace was not looked at in this run.',
    ])
  })

  it('says that nothing changed', async () => {
    const { result } = await runInRepository({ before: { a: 'x\n' } })
    expect(textsOf(byClass(expectSafe(renderReport(result)), 'empty'))).toEqual([
      'Nothing changed in the workspace.',
    ])
  })

  it('says where the patch is, and shows it when it is passed', async () => {
    const artifactStore = createArtifactStore(memoryStore())
    const { result } = await runInRepository({ after: { a: 'one\n' }, artifactStore })
    const key = result.workspace?.diff?.patchRef ?? ''
    expect(renderReport(result)).toContain(`in the artifact store under the key ${key}`)
    const patch = await artifactStore.get(key)
    expect(textsOf(byTag(expectSafe(renderReport(result, { patch: patch ?? undefined })), 'ins'))).toEqual([
      'one',
    ])
  })
})

describe('a rollback of some paths', () => {
  it('is not said to have brought back the whole state', async () => {
    const { result } = await runInRepository({
      before: { a: 'x\n', b: 'x\n' },
      after: { a: 'y\n', b: 'y\n' },
      agent: () => {
        throw new Error('failed')
      },
      rollbackOnFailure: { paths: ['a'] },
    })
    const card = textsOf(byClass(expectSafe(renderReport(result)), 'card'))[0]
    expect(card).toContain(
      'Rollback verified Verified: in a capture made afterwards, all that was to be rolled back',
    )
    expect(card).not.toContain('the state before the run')
  })
})

describe('a rollback preview', () => {
  it('lists what would be restored and deleted, and says that nothing was touched', async () => {
    const { result } = await runInRepository({ before: { a: 'x\n' }, after: { a: 'y\n' } })
    const workspace = result.workspace
    if (workspace === null) throw new Error('no workspace')
    const rollback = {
      dryRun: true,
      targetRef: workspace.beforeSnapshot.ref,
      restored: ['a'],
      deleted: ['b'],
      kept: ['c'],
      merged: ['d'],
      steps: [],
      unmatched: ['typo'],
      appeared: ['e'],
      guard: null,
      verified: false,
      recovery: null,
      git: {
        restored: ['HEAD', 'index'] as const,
        notRestored: [{ part: 'stash', reason: 'its commits are gone <b>' }],
        safetyRefs: [{ name: 'refs/ws/rollback/1/HEAD', target: 'f'.repeat(40), was: 'HEAD' }],
        otherRefs: [],
        wasInProgress: [],
      },
    }
    const card = textsOf(byClass(expectSafe(renderReport(result, { rollback })), 'card'))[0]
    expect(card).toContain(
      'Rollback preview dry run A preview: nothing was touched. Would be restored 1a Would be deleted 1b Kept',
    )
    for (const text of [
      'Merged with edits of somebody else 1d',
      'Named, but in neither state 1typo',
      'New since then, left alone 1e',
      'Repository: HEAD, index.',
      'Not put back: stash, because its commits are gone <b>.',
      'What was there stays reachable 1refs/ws/rollback/1/HEAD (HEAD)',
    ])
      expect(card).toContain(text)
  })
})
