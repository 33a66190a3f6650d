import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { localStore } from '../src/index.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'store-local-'))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Runs code in another process that has `store` on the same root; it says `ready` itself where it matters. */
function start(code: string): ChildProcess {
  const main = `
    import { localStore } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))}
    const root = ${JSON.stringify(root)}
    const store = localStore({ root, durability: 'none' })
    ${code}`
  return spawn(process.execPath, ['--conditions=@ws/source', '--input-type=module-typescript', '-e', main], {
    stdio: ['pipe', 'pipe', 'inherit'],
  })
}

function lineOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve) =>
    child.stdout?.once('data', (data: Buffer) => resolve(data.toString().trim())),
  )
}

function exitOf(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once('exit', resolve))
}

function privateFiles(): string[] {
  return ['temporary', 'locks'].flatMap((folder) => readdirSync(join(root, '%ws', folder)))
}

it('shows whole objects only, and keeps no temporary file, after writers were killed in the middle of puts', async () => {
  for (let round = 0; round < 4; round += 1) {
    const child = start(`
      async function* body(seed) { for (let part = 0; part < 40; part += 1) yield Buffer.alloc(50_000, seed % 251) }
      const writers = Array.from({ length: 4 }, async (_, writer) => {
        for (let seed = 1; ; seed += 1) {
          await store.put('key/' + (seed % 7), body(seed))
          if (seed % 3 === 0) await store.delete('key/' + ((seed + 2) % 7))
          if (writer === 0 && seed === ${round + 2}) process.stdout.write('ready')
        }
      })
      await Promise.all(writers)`)
    await lineOf(child)
    const exited = exitOf(child)
    child.kill('SIGKILL')
    await exited
    const store = localStore({ root })
    for await (const { key } of store.list('')) {
      const chunks: Uint8Array[] = []
      for await (const chunk of (await store.get(key))?.body ?? []) chunks.push(chunk)
      const bytes = Buffer.concat(chunks)
      expect(bytes.length).toBe(2_000_000)
      expect(bytes.every((byte) => byte === bytes[0])).toBe(true)
    }
  }
  expect(execFileSync('ls', [join(root, '%ws', 'temporary')]).length).toBeGreaterThan(0)
  const child = start(`await store.put('next', Buffer.from('x'))`)
  expect(await exitOf(child)).toBe(0)
  expect(readdirSync(join(root, '%ws', 'temporary'))).toEqual([])
})

it('never removes the temporary file of a living writer in another process', async () => {
  const child = start(`
    async function* body() {
      yield Buffer.alloc(2_000_000)
      process.stdout.write('ready')
      await new Promise((resolve) => process.stdin.once('data', resolve))
      yield Buffer.from('end')
    }
    await store.put('slow', body())
    process.exit(0)`)
  await lineOf(child)
  const other = start(`await store.put('next', Buffer.from('x'))`)
  expect(await exitOf(other)).toBe(0)
  expect(privateFiles().length).toBe(1)
  child.stdin?.write('go')
  expect(await exitOf(child)).toBe(0)
  expect((await localStore({ root }).head('slow'))?.size).toBe(2_000_003)
})

it('lets exactly one of several processes win each ifAbsent', async () => {
  const code = `
    await new Promise((resolve) => process.stdin.once('data', resolve))
    let won = 0
    for (let key = 0; key < 300; key += 1)
      await store.put('race/' + key, Buffer.from(String(process.pid)), { ifAbsent: true }).then(
        () => { won += 1 },
        (error) => { if (error.code !== 'CONFLICT') throw error })
    process.stdout.write(String(won))
    process.exit(0)`
  const children = Array.from({ length: 3 }, () => start(code))
  const lines = children.map(lineOf)
  for (const child of children) child.stdin?.write('go')
  const won = (await Promise.all(lines)).map(Number)
  expect(won.reduce((sum, each) => sum + each, 0)).toBe(300)
})

it('loses no ifMatch update between processes, though one after another is killed at any moment', async () => {
  const code = `
    const read = async () => {
      const found = await store.get('counter')
      let text = ''
      for await (const chunk of found.body) text += chunk
      return { etag: found.info.etag, value: Number(text) }
    }
    let own = 0
    process.stdout.write('ready')
    for (;;) {
      const { etag, value } = await read()
      await store.put('counter', Buffer.from(String(value + 1)), { ifMatch: etag }).then(
        async () => { own += 1; await store.put('own/' + process.pid, Buffer.from(String(own))) },
        (error) => { if (error.code !== 'CONFLICT') throw error })
    }`
  const store = localStore({ root, durability: 'none' })
  await store.put('counter', Buffer.from('0'))
  const victims = 4
  const steady = start(code)
  await lineOf(steady)
  for (let victim = 0; victim < victims; victim += 1) {
    const child = start(code)
    await lineOf(child)
    const before = await numberAt('counter')
    while ((await numberAt('counter')) < before + 25 + victim);
    const exited = exitOf(child)
    child.kill('SIGKILL')
    await exited
  }
  // The one that was never killed still gets through, past every lock that was left behind.
  const before = await numberAt('counter')
  while ((await numberAt('counter')) < before + 25);
  const exited = exitOf(steady)
  steady.kill('SIGKILL')
  await exited
  let counted = 0
  for await (const { key } of store.list('own/')) counted += await numberAt(key)
  const total = await numberAt('counter')
  // A process may be killed between its update and its note about it: once each.
  expect(total).toBeGreaterThanOrEqual(counted)
  expect(total).toBeLessThanOrEqual(counted + victims + 1)

  async function numberAt(key: string): Promise<number> {
    let text = ''
    for await (const chunk of (await store.get(key))?.body ?? []) text += Buffer.from(chunk).toString()
    return Number(text)
  }
})

it('reports what a user without permission may not do as ACCESS_DENIED', async () => {
  const store = localStore({ root })
  await store.put('a', Buffer.from('x'))
  execFileSync('find', [root, '-depth', '-exec', 'chmod', 'a-rwx', '{}', '+'])
  const codes = execFileSync(
    process.execPath,
    ['--conditions=@ws/source', '--input-type=module-typescript', '-e', `
      import { localStore } from ${JSON.stringify(join(import.meta.dirname, '../src/index.ts'))}
      if (process.getuid() === 0) { process.setgroups([]); process.setgid(65534); process.setuid(65534) }
      const store = localStore({ root: ${JSON.stringify(root)} })
      const codeOf = (call) => call.then(() => 'done', (error) => error.code)
      console.log(JSON.stringify([
        await codeOf(store.get('a')),
        await codeOf(store.put('b', Buffer.from('x'))),
        await codeOf((async () => { for await (const _ of store.list('')); })()),
      ]))`],
    { encoding: 'utf8' },
  ) // prettier-ignore
  execFileSync('chmod', ['-R', 'u+rwX', root])
  expect(JSON.parse(codes)).toEqual(['ACCESS_DENIED', 'ACCESS_DENIED', 'ACCESS_DENIED'])
})
