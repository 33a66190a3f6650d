import { execFileSync } from 'node:child_process'
import {
  chmodSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { WorkspaceError } from '../../../src/errors.ts'
import { decodePath, encodePath } from '../../../src/filesystem/path-text.ts'
import { openHashBackend } from '../../../src/snapshot/hash/open-hash-backend.ts'
import { temporaryDirectory, writeFiles } from '../../support/temporary-directory.ts'
import { openWorkspace, summarize } from './capture-directory.ts'

async function codeOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'no error',
    (error: unknown) => (error instanceof WorkspaceError ? error.code : error),
  )
}

test('a snapshot names the real directory, the label, the entries and the time', async () => {
  const { backend, path, base } = await openWorkspace()
  writeFiles(path, { 'a.txt': 'a', 'deep/b.txt': 'b' })
  symlinkSync('workspace', join(base, 'link'))
  const linked = await openHashBackend({ path: join(base, 'link'), stateDirectory: join(base, 'state') })
  const snapshot = await linked.capture({ label: 'before' })
  expect(snapshot).toMatchObject({ backend: 'hash', label: 'before', path, metadata: { entries: 2 } })
  expect(snapshot.capturedAt).toMatch(/^\d{4}-\d\d-\d\dT.*Z$/)
  expect(snapshot.coverage).toMatchObject({ complete: true, examples: [], unstable: [] })
  expect(backend.capabilities).toEqual({ patch: false, rollback: false })
  expect(structuredClone(snapshot)).toEqual(JSON.parse(JSON.stringify(snapshot)))
})

test('equal states give equal refs, also in another directory and for another process', async () => {
  const [left, right] = [await openWorkspace(), await openWorkspace()]
  for (const { path } of [left, right]) {
    writeFiles(path, { 'a.txt': 'one', 'b/c.txt': 'two', 'b.txt': '' })
    mkdirSync(join(path, 'empty'), { mode: 0o755 })
  }
  const first = await left.capture()
  expect((await left.capture()).ref).toBe(first.ref)
  expect((await right.capture()).ref).toBe(first.ref)
  expect((await left.capture()).id).not.toBe(first.id)
})

test('every kind of edit shows with its status, and nothing else does', async () => {
  const { path, capture, changes, backend } = await openWorkspace()
  writeFiles(path, {
    'edited.txt': 'old',
    'gone.txt': 'gone',
    'moved.txt': 'the same content',
    'mode.sh': 'run',
    'becomes-link': 'file',
    'becomes-directory': 'file',
    'directory/becomes-file': 'x',
    'same.txt': 'same',
  })
  mkdirSync(join(path, 'vanishing'))
  symlinkSync('same.txt', join(path, 'link'))
  const before = await capture()
  writeFiles(path, { 'edited.txt': 'new', 'added.txt': 'added' })
  rmSync(join(path, 'gone.txt'))
  renameSync(join(path, 'moved.txt'), join(path, 'there.txt'))
  chmodSync(join(path, 'mode.sh'), 0o755)
  for (const name of ['becomes-link', 'becomes-directory', 'directory', 'link', 'vanishing']) {
    rmSync(join(path, name), { recursive: true })
  }
  symlinkSync('same.txt', join(path, 'becomes-link'))
  mkdirSync(join(path, 'becomes-directory'))
  writeFiles(path, { directory: 'now a file' })
  symlinkSync('edited.txt', join(path, 'link'))
  mkdirSync(join(path, 'appearing'))
  const after = await capture()
  expect(await changes(before, after)).toEqual([
    'added added.txt',
    'added appearing',
    'type-changed becomes-directory',
    'type-changed becomes-link',
    'added directory',
    'deleted directory/becomes-file',
    'modified edited.txt',
    'deleted gone.txt',
    'modified link',
    'mode-changed mode.sh',
    'deleted moved.txt',
    'added there.txt <- moved.txt',
    'deleted vanishing',
  ])
  const [edited] = (await backend.changes(before, after)).filter((change) => change.path === 'edited.txt')
  expect(edited).toMatchObject({
    before: { type: 'file', mode: 0o644, size: 3 },
    after: { type: 'file', mode: 0o644, size: 3 },
    insertions: null,
    deletions: null,
    binary: null,
  })
  expect((await backend.changes(after, before)).length).toBe(13)
})

test('an added file names the one deleted file with its content, and none when there were several', async () => {
  const { path, capture, changes } = await openWorkspace()
  writeFiles(path, { 'twin-1': 'twin', 'twin-2': 'twin', single: 'single', kept: 'kept' })
  const before = await capture()
  for (const name of ['twin-1', 'twin-2', 'single']) rmSync(join(path, name))
  writeFiles(path, { 'twin-3': 'twin', 'single-1': 'single', 'kept-2': 'kept' })
  const found = await changes(before, await capture())
  expect(found.filter((line) => line.startsWith('added'))).toEqual([
    'added kept-2',
    'added single-1 <- single',
    'added twin-3',
  ])
})

test('200 edits of equal size with the modification time set back are all seen right after a capture', async () => {
  const { path, capture, changes } = await openWorkspace()
  const names = Array.from({ length: 200 }, (_, index) => `file-${index}.txt`)
  writeFiles(path, Object.fromEntries(names.map((name) => [name, `${name} before`])))
  const before = await capture()
  for (const name of names) {
    const file = join(path, name)
    const { atimeMs, mtimeMs } = statSync(file)
    writeFileSync(file, `${name} after!`)
    utimesSync(file, new Date(atimeMs), new Date(mtimeMs))
  }
  const found = await changes(before, await capture())
  expect(found.length).toBe(200)
  expect(found.every((line) => line.startsWith('modified'))).toBe(true)
})

test('paths are sorted by their bytes, above U+FFFF too', async () => {
  const { path, capture, changes } = await openWorkspace()
  const before = await capture()
  writeFiles(path, { '\u{1f600}': 'x', '\uff5e': 'x', 'a.b': 'x', 'a/b': 'x', a0: 'x' })
  const found = await changes(before, await capture())
  expect(found.map((line) => line.replace('added ', ''))).toEqual(['a.b', 'a/b', 'a0', '\uff5e', '\u{1f600}'])
})

test('names that are not UTF-8, or hold newlines, quotes and U+FFFD, keep their identity', async () => {
  const { path, capture, backend } = await openWorkspace()
  const names = [
    Buffer.from([0x66, 0xff]),
    Buffer.from([0x66, 0xfe]),
    Buffer.from('f\ufffd'),
    Buffer.from('new\nline "quoted" \\ back'),
  ]
  const before = await capture()
  const directory = Buffer.concat([Buffer.from(`${path}/`), Buffer.from([0xe9])])
  mkdirSync(directory)
  for (const name of names) {
    writeFileSync(Buffer.concat([Buffer.from(`${path}/`), name]), name)
    writeFileSync(Buffer.concat([directory, Buffer.from('/'), name]), name)
  }
  const changes = await backend.changes(before, await capture())
  expect(changes.length).toBe(8)
  const found = changes.map((change) => encodePath(change.path).toString('hex'))
  for (const name of names) {
    expect(found).toContain(name.toString('hex'))
    expect(found).toContain(`e92f${name.toString('hex')}`)
  }
  expect(changes.every((change) => decodePath(encodePath(change.path)) === change.path)).toBe(true)
  expect(JSON.parse(JSON.stringify(changes))).toEqual(changes)
})

test('links are not followed: a loop, a link out of the workspace and a dangling one are just text', async () => {
  const { base, path, capture, changes } = await openWorkspace()
  writeFiles(base, { 'outside/secret.txt': 'secret' })
  symlinkSync('.', join(path, 'loop'))
  symlinkSync('../outside', join(path, 'out'))
  symlinkSync('nowhere', join(path, 'dangling'))
  const before = await capture()
  expect(before.metadata.entries).toBe(3)
  writeFiles(base, { 'outside/secret.txt': 'changed', 'outside/more.txt': 'more' })
  expect(await changes(before, await capture())).toEqual([])
})

test('pipes and sockets are counted and never opened', async () => {
  const { path, capture } = await openWorkspace()
  writeFiles(path, { 'a.txt': 'a' })
  execFileSync('mkfifo', [join(path, 'pipe')])
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(join(path, 'socket'), resolve))
  try {
    const { coverage, metadata } = await capture()
    expect(metadata.entries).toBe(1)
    expect(coverage).toMatchObject({ complete: false, omitted: { 'special-file': 2 } })
    expect(coverage.examples).toEqual([
      { path: 'pipe', reason: 'special-file' },
      { path: 'socket', reason: 'special-file' },
    ])
  } finally {
    await new Promise((resolve) => server.close(resolve))
  }
})

test('a state directory inside the workspace is left out and counted', async () => {
  const path = temporaryDirectory()
  writeFiles(path, { 'a.txt': 'a' })
  const backend = await openHashBackend({ path, stateDirectory: join(path, '.state/ws') })
  const first = await backend.capture({ label: 'x' })
  const second = await backend.capture({ label: 'x' })
  expect(second.ref).toBe(first.ref)
  expect(second.coverage.examples).toEqual([{ path: '.state/ws', reason: 'ignored' }])
})

test('nothing is written into the workspace', async () => {
  const { path, capture } = await openWorkspace()
  writeFiles(path, { 'a/b.txt': 'b', 'c.txt': 'c' })
  const stamp = () =>
    readdirSync(path, { recursive: true, encoding: 'utf8' })
      .toSorted()
      .map((name) => [name, statSync(join(path, name), { bigint: true }).ctimeNs])
  const before = stamp()
  const root = statSync(path, { bigint: true }).mtimeNs
  await capture()
  expect(stamp()).toEqual(before)
  expect(statSync(path, { bigint: true }).mtimeNs).toBe(root)
})

test('the state is private to its user', async () => {
  const { path, stateDirectory, capture } = await openWorkspace()
  writeFiles(path, { 'a.txt': 'a' })
  await capture()
  const files = readdirSync(join(stateDirectory, 'hash'))
  expect(files.length).toBeGreaterThan(0)
  for (const name of files) expect(statSync(join(stateDirectory, 'hash', name)).mode & 0o077).toBe(0)
  expect(statSync(join(stateDirectory, 'hash')).mode & 0o077).toBe(0)
})

test('a patch and a rollback are refused as unsupported, naming the strategies that can', async () => {
  const { path, backend, capture } = await openWorkspace()
  writeFiles(path, { 'a.txt': 'a' })
  const snapshot = await capture()
  const readPatch = async () => {
    for await (const _ of backend.patch(snapshot, snapshot)) throw new Error('there is a patch')
  }
  await expect(readPatch()).rejects.toThrow(/strategy "bundle", or "git"/)
  await expect(backend.rollback(snapshot)).rejects.toThrow(/strategy "bundle", or "git"/)
  expect(await codeOf(readPatch())).toBe('UNSUPPORTED')
  expect(await codeOf(backend.rollback(snapshot))).toBe('UNSUPPORTED')
  expect(readFileSync(join(path, 'a.txt'), 'utf8')).toBe('a')
})

test('snapshots of another backend or directory, or with a forged ref, are refused', async () => {
  const { backend, capture, path } = await openWorkspace()
  const snapshot = await capture()
  for (const wrong of [
    { ...snapshot, backend: 'git' as const },
    { ...snapshot, path: `${path}-other` },
    { ...snapshot, ref: '../../../etc/passwd' },
  ]) {
    expect(await codeOf(backend.changes(snapshot, wrong))).toBe('INVALID_INPUT')
    expect(await codeOf(backend.changes(wrong, snapshot))).toBe('INVALID_INPUT')
  }
})

test('a manifest that is gone is NOT_FOUND, a damaged one CORRUPT, and the next capture mends it', async () => {
  const { path, backend, capture, stateDirectory, base } = await openWorkspace()
  writeFiles(path, { 'a.txt': 'a' })
  const before = await capture()
  writeFiles(path, { 'a.txt': 'b' })
  const after = await capture()
  const stored = join(stateDirectory, 'hash', `${after.ref}.manifest.zst`)
  const bytes = readFileSync(stored)
  for (const damage of [
    bytes.subarray(0, bytes.length - 3),
    Buffer.alloc(0),
    Buffer.from('not zstd at all'),
    readFileSync(join(stateDirectory, 'hash', `${before.ref}.manifest.zst`)),
  ]) {
    writeFileSync(stored, damage)
    expect(await codeOf(backend.changes(before, after))).toBe('CORRUPT')
  }
  rmSync(stored)
  expect(await codeOf(backend.changes(before, after))).toBe('NOT_FOUND')
  writeFileSync(stored, 'damaged')
  const script = `
    import { openHashBackend } from ${JSON.stringify(new URL('../../../src/snapshot/hash/open-hash-backend.ts', import.meta.url).href)}
    const backend = await openHashBackend(${JSON.stringify({ path, stateDirectory: join(base, 'state') })})
    await backend.capture({ label: 'again' })`
  execFileSync(process.execPath, ['--input-type=module', '-e', script])
  expect((await backend.changes(before, after)).map(summarize)).toEqual(['modified a.txt'])
})

test('a workspace that is missing, gone or a file is told apart', async () => {
  const base = temporaryDirectory()
  writeFiles(base, { file: 'x' })
  const stateDirectory = join(base, 'state')
  expect(await codeOf(openHashBackend({ path: join(base, 'none'), stateDirectory }))).toBe('NOT_FOUND')
  const open = await openWorkspace()
  rmSync(open.path, { recursive: true })
  expect(await codeOf(open.capture())).toBe('NOT_FOUND')
  writeFileSync(open.path, 'a file now')
  expect(await codeOf(open.capture())).toBe('INVALID_INPUT')
  expect(await codeOf(openHashBackend({ path: base, stateDirectory: base }))).toBe('INVALID_INPUT')
})

test('an aborted capture rejects with the reason of its signal', async () => {
  const { backend, path, capture } = await openWorkspace()
  writeFiles(path, { 'a.txt': 'a' })
  const snapshot = await capture()
  const reason = new Error('enough')
  const signal = AbortSignal.abort(reason)
  expect(await codeOf(backend.capture({ label: 'x', signal }))).toBe(reason)
  expect(await codeOf(backend.changes(snapshot, snapshot, { signal }))).toBe(reason)
})

test('deep trees are captured as far as the system can name them', async () => {
  const { path, capture } = await openWorkspace()
  const deep = Array.from({ length: 300 }, () => 'd').join('/')
  writeFiles(path, { [`${deep}/leaf.txt`]: 'leaf' })
  expect((await capture()).metadata.entries).toBe(1)
  const script = `
    import { mkdirSync, writeFileSync } from 'node:fs'
    process.chdir(${JSON.stringify(path)})
    for (let depth = 0; depth < 30; depth += 1) {
      mkdirSync('e'.repeat(200))
      process.chdir('e'.repeat(200))
    }
    writeFileSync('leaf', '')`
  execFileSync(process.execPath, ['--input-type=module', '-e', script])
  const { coverage, metadata } = await capture()
  expect(coverage.omitted.unreadable).toBe(1)
  expect(metadata.entries).toBe(2)
})

test('.git in another case is left out and named, wherever it is, as by the other backends (case 29)', async () => {
  const { path, capture, changes } = await openWorkspace()
  writeFiles(path, { '.GIT/config': 'x', 'src/.gIt': 'x', 'src/.github/ci': 'x', 'git~1': 'x', '.git ': 'x' })
  const before = await capture()
  expect(before.metadata).toMatchObject({ entries: 3 })
  expect(before.coverage.examples).toEqual([
    { path: '.GIT', reason: 'unsupported-name' },
    { path: 'src/.gIt', reason: 'unsupported-name' },
  ])
  writeFiles(path, { '.GIT/config': 'y', 'src/.Git/hooks': 'y' })
  expect((await capture()).ref).toBe(before.ref)
  expect(await changes(before, await capture())).toEqual([])
})
