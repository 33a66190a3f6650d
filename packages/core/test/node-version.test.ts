import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'

/** What Node 20 lacks of the modules that the packages import by name. */
const missing = {
  zlib: ['zstd', 'crc32'],
  worker_threads: ['isMarkedAsUntransferable', 'isInternalThread', 'markAsUncloneable', 'locks'],
  module: ['registerHooks', 'enableCompileCache', 'findPackageJSON', 'stripTypeScriptTypes'],
  crypto: ['argon2', 'randomUUIDv7', 'hash'],
  util: ['diff', 'getCallSites', 'getSystemErrorMessage'],
  fs: ['glob', 'mkdtempDisposable', 'Utf8Stream'],
  'fs/promises': ['glob', 'mkdtempDisposable'],
  perf_hooks: ['eventLoopUtilization', 'timerify'],
}

/** Gives every module the builtins of an older Node. */
const olderNode = `
import { createRequire, registerHooks } from 'node:module'
const require = createRequire('file:///')
globalThis.before = {}
const urls = new Map()
for (const [module, missing] of Object.entries(${JSON.stringify(missing)})) {
  const isMissing = (name) => missing.some((each) => each === name || (module === 'zlib' && name.toLowerCase().includes(each)))
  const present = Object.fromEntries(Object.entries(require('node:' + module)).filter(([name]) => !isMissing(name)))
  globalThis.before[module] = present
  const names = Object.keys(present).filter((name) => /^[a-z_$]\\w*$/i.test(name) && name !== 'default')
  const source = 'const all = globalThis.before[' + JSON.stringify(module) + ']; export default all; export const { ' + names.join(', ') + ' } = all'
  urls.set(module, 'data:text/javascript,' + encodeURIComponent(source))
}
registerHooks({
  resolve(specifier, context, next) {
    const url = urls.get(specifier.replace(/^node:/, ''))
    return url === undefined || context.parentURL?.includes('/node_modules/') ? next(specifier, context) : { url, shortCircuit: true }
  },
})
`

const packages = join(import.meta.dirname, '..', '..')
/** Those that users install. */
const names = readdirSync(packages).filter((name) => {
  const manifest = JSON.parse(readFileSync(join(packages, name, 'package.json'), 'utf8')) as {
    private?: boolean
  }
  return manifest.private !== true
})

describe('a Node that is too old', () => {
  it.each(names)('gets a sentence from %s instead of a SyntaxError', (name) => {
    const result = spawnSync(
      process.execPath,
      [
        '--conditions=@ws/source',
        '--import',
        `data:text/javascript,${encodeURIComponent(olderNode)}`,
        '--input-type=module',
        '--eval',
        `await import(${JSON.stringify(pathToFileURL(join(packages, name, 'src', 'index.ts')).href)})`,
      ],
      { encoding: 'utf8' },
    )
    expect(result.status).not.toBe(0)
    expect(result.stderr).toContain('needs Node 22.15 or newer; this is Node')
    expect(result.stderr).not.toContain('SyntaxError')
  })
})
