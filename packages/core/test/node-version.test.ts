import { spawnSync } from 'node:child_process'
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

describe('a Node that is too old', () => {
  it.each(['@ws/core', '@ws/store-local'])('gets a sentence from %s instead of a SyntaxError', (name) => {
    const result = spawnSync(
      process.execPath,
      [
        '--conditions=@ws/source',
        '--import',
        `data:text/javascript,${encodeURIComponent(olderNode)}`,
        '--input-type=module',
        '--eval',
        `await import(${JSON.stringify(name)})`,
      ],
      { cwd: import.meta.dirname, encoding: 'utf8' },
    )
    expect(result.status).not.toBe(0)
    expect(result.stderr).toContain('needs Node 22.15 or newer; this is Node')
    expect(result.stderr).not.toContain('SyntaxError')
  })
})
