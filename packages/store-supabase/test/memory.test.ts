import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { keys, openTestStorage } from './open-test-storage.ts'

const MIB = 1_048_576

it('streams 200 MiB in and out of a process that takes no more than 250 MiB', async () => {
  const storage = await openTestStorage()
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=@ws/source',
      join(import.meta.dirname, 'stream-child.ts'),
      storage.url,
      process.env['WS_TEST_SUPABASE_KEY'] ?? keys.service,
      storage.bucket,
      '200',
    ])
    const seen = JSON.parse(stdout) as { size: number; received: number; peakBytes: number }
    expect(seen).toMatchObject({ size: 200 * MIB, received: 200 * MIB })
    expect(seen.peakBytes).toBeLessThan(250 * MIB)
  } finally {
    await storage.stop()
  }
})
