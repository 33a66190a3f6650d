import { spawnSync } from 'node:child_process'
import { describe, expect, it } from 'vitest'

describe('importing the package', () => {
  it('loads no network client', () => {
    const program = `
      await import(${JSON.stringify(new URL('../src/index.ts', import.meta.url).href)})
      console.log(process.moduleLoadList.join('\\n'))
    `
    const { stdout, stderr } = spawnSync(
      process.execPath,
      ['--conditions=@ws/source', '--input-type=module', '-e', program],
      { encoding: 'utf8' },
    )
    const loaded = stdout.split('\n').map((line) => line.replace('NativeModule ', ''))
    expect([stderr, loaded.includes('worker_threads')]).toEqual(['', true])
    expect(loaded.filter((name) => /^_http_|^tls$|undici/.test(name))).toEqual([])
  })
})
