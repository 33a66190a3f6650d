import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { build, type Options } from 'tsup'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

/** A host in one file, as bundlers make them: the code of the threads is not beside it. */
const HOST = `
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createBundle, executeRun, extractBundle, Workspace } from '@ws/core'
import { localStore } from '@ws/store-local'

async function main() {
  const base = process.argv[2]
  const at = (name) => join(base, name)
  const path = at('work')
  const store = localStore({ root: at('store') })
  const workspace = new Workspace({ id: 'host', path, store, stateDir: at('state') })
  const files = (directory) => readdirSync(directory, { recursive: true }).sort()
  for (let folder = 0; folder < 32; folder += 1) {
    mkdirSync(join(path, String(folder)), { recursive: true })
    for (let file = 0; file < 100; file += 1) writeFileSync(join(path, String(folder), String(file)), folder + ' ' + file)
  }
  // So large that threads are worth their start.
  writeFileSync(join(path, 'large'), Buffer.alloc(26 * 1024 * 1024, 'large '))
  const saved = await workspace.save('first')
  const copy = new Workspace({ id: 'host', path: at('copy'), store, stateDir: at('state-2') })
  await copy.load()
  const archive = at('archive.tar.zst')
  const chunks = []
  for await (const chunk of createBundle(path)) chunks.push(Buffer.from(chunk))
  writeFileSync(archive, Buffer.concat(chunks))
  mkdirSync(at('extracted'))
  await extractBundle((async function* () { yield readFileSync(archive) })(), at('extracted'))
  const isSame = (directory) => files(directory).join('\\n') === files(path).join('\\n')
  const results = { version: saved.version.version, copied: isSame(at('copy')), extracted: isSame(at('extracted')), changed: {} }
  for (const strategy of ['hash', 'bundle', 'git']) {
    const run = await executeRun(workspace, () => writeFileSync(join(path, strategy), 'new'), { strategy })
    results.changed[strategy] = run.workspace.diff.changedPaths
  }
  console.log(JSON.stringify(results))
}
main().catch((error) => { console.error(error); process.exitCode = 1 })
`

let base = ''

beforeAll(() => {
  base = mkdtempSync(join(tmpdir(), 'ws-bundled-host-'))
})

afterAll(() => rmSync(base, { recursive: true, force: true }))

async function bundle(format: 'esm' | 'cjs'): Promise<string> {
  const folder = mkdtempSync(join(import.meta.dirname, `.host-${format}-`))
  const outDir = join(base, `out-${format}`)
  try {
    writeFileSync(join(folder, 'host.js'), HOST)
    const banner = `import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)`
    const options: Options = {
      entry: [join(folder, 'host.js')],
      format,
      outDir,
      config: false,
      silent: true,
      noExternal: [/^[^.]/],
      target: 'node22',
      ...(format === 'esm' && { banner: { js: banner } }),
      outExtension: () => ({ js: format === 'esm' ? '.mjs' : '.cjs' }),
      esbuildOptions(esbuild) {
        esbuild.conditions = ['@ws/source', 'node', 'import', 'default']
      },
    }
    await build(options)
    return join(outDir, format === 'esm' ? 'host.mjs' : 'host.cjs')
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

describe('a host that was bundled into one file', () => {
  it.each(['esm', 'cjs'] as const)(
    'saves, loads, archives and takes snapshots without threads (%s)',
    async (format) => {
      const host = await bundle(format)
      const place = join(base, format)
      mkdirSync(join(place, 'work'), { recursive: true })
      execFileSync('git', ['init', '-q', join(place, 'work')])
      const output = execFileSync(process.execPath, [host, place], { encoding: 'utf8' })
      expect(JSON.parse(output.trim().split('\n').at(-1) ?? '')).toEqual({
        version: 1,
        copied: true,
        extracted: true,
        changed: { hash: ['hash'], bundle: ['bundle'], git: ['git'] },
      })
    },
  )
})
