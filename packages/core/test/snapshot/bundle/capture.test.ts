import { execFileSync, spawnSync } from 'node:child_process'
import {
  appendFileSync,
  chmodSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { noOmissions } from '../../../src/snapshot/snapshot.ts'
import { createFixture, describeTree } from './bundle-fixture.ts'

it('gives equal refs for equal states, whatever the times, and another for any other state', async () => {
  const { path, open, write } = createFixture()
  write('large.bin', Buffer.from(Array.from({ length: 700_000 }, (_, at) => (at * at * 7) % 253)))
  mkdirSync(join(path, 'empty'))
  const backend = await open()
  const first = await backend.capture({ label: 'x' })
  const refOf = async () => (await backend.capture({ label: 'x' })).ref
  expect(await refOf()).toBe(first.ref)
  utimesSync(join(path, 'a.txt'), 1, 1)
  utimesSync(join(path, 'src'), 1, 1)
  expect(await refOf()).toBe(first.ref)

  const seen = new Set([first.ref])
  for (const change of [
    () => chmodSync(join(path, 'a.txt'), 0o600),
    () => chmodSync(join(path, 'src'), 0o700),
    () => chmodSync(join(path, 'empty'), 0o711),
    () => write('empty/file', ''),
    () => renameSync(join(path, 'empty/file'), join(path, 'empty/other')),
    () => symlinkSync('a.txt', join(path, 'link')),
    () => appendFileSync(join(path, 'large.bin'), 'x'),
  ]) {
    change()
    seen.add(await refOf())
  }
  expect(seen.size).toBe(8)
})

it('gives the same ref for content that was cut differently, because it came about differently', async () => {
  const { path, open, write } = createFixture()
  const content = Buffer.from(Array.from({ length: 900_000 }, (_, at) => (at * at * 7 + (at >> 9)) % 251))
  write('large.bin', content)
  const backend = await open()
  const first = await backend.capture({ label: 'x' })
  // The cuts of this are tried first on what comes next.
  write(
    'large.bin',
    Buffer.concat([Buffer.from('a prefix that moves everything'), content.subarray(0, 650_000)]),
  )
  await backend.capture({ label: 'x' })
  write('large.bin', content)
  const again = await backend.capture({ label: 'x' })
  expect(again.ref).toBe(first.ref)
  expect(await backend.changes(first, again)).toEqual([])
  // A file with holes is stored without them.
  write('zeros', Buffer.alloc(1_000_000))
  const whole = await backend.capture({ label: 'x' })
  rmSync(join(path, 'zeros'))
  execFileSync('truncate', ['-s', '1000000', join(path, 'zeros')])
  chmodSync(join(path, 'zeros'), 0o644)
  expect((await backend.capture({ label: 'x' })).ref).toBe(whole.ref)
})

it('stores nothing for an unchanged directory, and little for a small change', async () => {
  const { path, stateDirectory, open, write } = createFixture()
  const noise = (seed: number) =>
    Buffer.from(Array.from({ length: 500_000 }, (_, at) => (at * seed * 31 + at * at) % 257))
  write('large.bin', noise(3))
  const backend = await open()
  const first = await backend.capture({ label: 'x' })
  const objects = () =>
    readdirSync(join(stateDirectory, 'bundle/store'), { recursive: true, encoding: 'utf8' })
      .map((name) => ({ name, stats: statSync(join(stateDirectory, 'bundle/store', name)) }))
      .filter(({ stats }) => stats.isFile())
  const before = objects()
  const second = await (await open()).capture({ label: 'x' })
  expect(second.ref).toBe(first.ref)
  expect(second.id).not.toBe(first.id)
  expect(objects().map(({ name }) => name)).toEqual(before.map(({ name }) => name))
  writeFileSync(join(path, 'a.txt'), 'other\n')
  await backend.capture({ label: 'x' })
  const added = objects().filter(({ name }) => !before.some((old) => old.name === name))
  expect(added).toHaveLength(2)
  expect(added.reduce((sum, { stats }) => sum + stats.size, 0)).toBeLessThan(5000)
})

it('sees an edit of equal size whose modification time was set back', async () => {
  const { path, open, write } = createFixture()
  const backend = await open()
  utimesSync(join(path, 'a.txt'), 1000, 1000)
  const before = await backend.capture({ label: 'x' })
  write('a.txt', 'eno\ntwo\n')
  utimesSync(join(path, 'a.txt'), 1000, 1000)
  const after = await backend.capture({ label: 'x' })
  expect((await backend.changes(before, after)).map(({ path: name }) => name)).toEqual(['a.txt'])
})

it('captures what a repository would ignore, and leaves out .git at any depth, the rules and itself', async () => {
  const { path, write, open } = createFixture()
  write('.gitignore', 'build/\n')
  write('build/out.o', 'ignored')
  write('node_modules/x/index.js', 'x')
  write('.git/config', 'x')
  write('vendor/lib/.git/HEAD', 'x')
  write('vendor/module/.git', 'gitdir: elsewhere')
  write('cache/file', 'x')
  write('deep/cache/file', 'x')
  write('logs/a.log', 'x')
  write('[odd]{name}/x', 'x')
  const backend = await open({
    stateDirectory: join(path, '.state'),
    ignore: { paths: ['cache', '[odd]{name}'], globs: ['*.log'] },
  })
  const snapshot = await backend.capture({ label: 'x' })
  expect(snapshot.coverage).toEqual({
    captured: 9,
    complete: false,
    omitted: { ...noOmissions(), ignored: 7 },
    examples: [
      '.git',
      '[odd]{name}',
      'cache',
      'deep/cache',
      'logs/a.log',
      'vendor/lib/.git',
      'vendor/module/.git',
    ].map((name) => ({ path: name, reason: 'ignored' })),
    unstable: [],
  })
  const empty = await open({ stateDirectory: join(path, '.state'), ignore: { globs: ['*'] } })
  const nothing = await empty.capture({ label: 'x' })
  expect(nothing.metadata.entries).toBe(0)
  // Compared where both looked: nowhere.
  expect(await backend.changes(nothing, snapshot)).toEqual([])
})

it('reports pipes and what it may not read, and goes on', async () => {
  const { path, stateDirectory, write, open } = createFixture()
  execFileSync('mkfifo', [join(path, 'pipe')])
  write('secret', 'x', 0o000)
  mkdirSync(join(path, 'closed'), { mode: 0o700 })
  write('closed/file', 'x')
  chmodSync(join(path, 'closed'), 0o000)
  for (const name of ['', 'work', 'work/src', 'state']) chmodSync(join(path, '..', name), 0o777)
  try {
    const script = `
      import { openBundleBackend } from ${JSON.stringify(new URL('../../../src/snapshot/bundle/open-bundle-backend.ts', import.meta.url).href)}
      const backend = await openBundleBackend({ path: process.argv[1], stateDirectory: process.argv[2] })
      process.stdout.write(JSON.stringify(await backend.capture({ label: 'x' })))`
    const child = spawnSync(
      process.execPath,
      ['--conditions=@ws/source', '--input-type=module', '-e', script, path, stateDirectory],
      { encoding: 'utf8', ...(process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : {}) },
    )
    expect(child.stderr).toBe('')
    const snapshot = JSON.parse(child.stdout) as Awaited<
      ReturnType<Awaited<ReturnType<typeof open>>['capture']>
    >
    expect(snapshot.coverage.examples).toEqual([
      { path: 'closed', reason: 'unreadable' },
      { path: 'pipe', reason: 'special-file' },
      { path: 'secret', reason: 'unreadable' },
    ])
    expect(snapshot.coverage.complete).toBe(false)
  } finally {
    chmodSync(join(path, 'closed'), 0o700)
  }
})

it('writes nothing in the workspace', async () => {
  const { path, write, open } = createFixture()
  write('.git/config', 'x')
  const times = () =>
    Object.keys(describeTree(path)).map((name) => {
      const stats = lstatSync(join(path, name), { bigint: true })
      return `${name} ${stats.ino} ${stats.mtimeNs} ${stats.ctimeNs}`
    })
  const before = times()
  const backend = await open()
  await backend.capture({ label: 'x' })
  await backend.capture({ label: 'x' })
  expect(times()).toEqual(before)
})

it('says NOT_FOUND for a snapshot whose content is gone, INVALID_INPUT for one of something else, and captures anew', async () => {
  const { stateDirectory, open, write, path } = createFixture()
  const backend = await open()
  const first = await backend.capture({ label: 'x' })
  rmSync(join(stateDirectory, 'bundle/store/packs'), { recursive: true })
  write('a.txt', 'changed\n')
  const second = await backend.capture({ label: 'x' })
  const tree = describeTree(path)
  await expect(backend.changes(first, second)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(backend.rollback(first)).rejects.toMatchObject({ code: 'NOT_FOUND' })
  expect(describeTree(path)).toEqual(tree)
  write('a.txt', 'again\n')
  expect((await backend.rollback(second)).verified).toBe(true)
  expect(describeTree(path)).toEqual(tree)

  await expect(backend.changes({ ...first, path: '/elsewhere' }, second)).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
  await expect(backend.rollback({ ...second, backend: 'git' })).rejects.toMatchObject({
    code: 'INVALID_INPUT',
  })
  await expect(backend.rollback({ ...second, ref: '0'.repeat(64) })).rejects.toMatchObject({
    code: 'NOT_FOUND',
  })
})

it('works on when everything that only makes it faster is damaged or gone', async () => {
  const { stateDirectory, open, write } = createFixture()
  const before = await (await open()).capture({ label: 'x' })
  const caches = readdirSync(join(stateDirectory, 'bundle')).filter((name) => /^[0-9a-f]{32}$/.test(name))
  expect(caches).toHaveLength(1)
  for (const name of readdirSync(join(stateDirectory, 'bundle', caches[0]!)))
    writeFileSync(join(stateDirectory, 'bundle', caches[0]!, name), 'damage')
  const backend = await open()
  expect((await backend.capture({ label: 'x' })).ref).toBe(before.ref)
  write('a.txt', 'changed\n')
  const after = await backend.capture({ label: 'x' })
  expect((await backend.changes(before, after)).map(({ path }) => path)).toEqual(['a.txt'])
})

it('refuses a state directory that is or holds the workspace, and reports one that is missing', async () => {
  const { open, path } = createFixture()
  await expect(open({ stateDirectory: path })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(open({ stateDirectory: join(path, '..') })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
  await expect(open({ path: join(path, 'nothing') })).rejects.toMatchObject({ code: 'NOT_FOUND' })
  await expect(open({ ignore: { paths: ['..'] } })).rejects.toMatchObject({ code: 'INVALID_INPUT' })
})
