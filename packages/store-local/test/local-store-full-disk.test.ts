import { execFileSync } from 'node:child_process'
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { localStore } from '../src/index.ts'

it('reports a full disk as QUOTA_EXCEEDED, keeps the old object and leaves no temporary file', async () => {
  const disk = mkdtempSync(join(tmpdir(), 'store-local-'))
  // Who is not root may mount in a user namespace, see scripts/run-tests.mjs.
  execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'none', disk])
  try {
    const store = localStore({ root: disk })
    await store.put('old', Buffer.from('old'))
    async function* endless(): AsyncGenerator<Uint8Array> {
      for (;;) yield Buffer.alloc(100_000, 1)
    }
    for (const body of [endless, () => Buffer.alloc(4_000_000)])
      for (const key of ['old', 'new/key'])
        await expect(store.put(key, body())).rejects.toMatchObject({ code: 'QUOTA_EXCEEDED' })
    expect((await store.head('old'))?.size).toBe(3)
    expect(await store.head('new/key')).toBe(null)
    expect(readdirSync(join(disk, '%ws', 'temporary'))).toEqual([])
    expect(readdirSync(disk).toSorted()).toEqual(['%ws', 'old%'])
  } finally {
    execFileSync('umount', [disk])
    rmSync(disk, { recursive: true })
  }
})
