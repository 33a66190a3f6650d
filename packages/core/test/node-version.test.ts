import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { describe, expect, it } from 'vitest'

/** Gives every module the `node:zlib` of an older Node: one without zstd and crc32. */
const olderNode = `
import { registerHooks } from 'node:module'
import zlib from 'node:zlib'
globalThis.zlibBefore = Object.fromEntries(Object.entries(zlib).filter(([name]) => !/zstd|crc32/i.test(name)))
const names = Object.keys(globalThis.zlibBefore).filter((name) => /^[a-z]\\w*$/i.test(name))
const source = 'const zlib = globalThis.zlibBefore; export default zlib; export const { ' + names.join(', ') + ' } = zlib'
const url = 'data:text/javascript,' + encodeURIComponent(source)
registerHooks({ resolve: (specifier, context, next) => specifier === 'node:zlib' ? { url, shortCircuit: true } : next(specifier, context) })
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
