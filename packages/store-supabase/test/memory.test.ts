import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { keys, openTestStorage } from './open-test-storage.ts'

const MIB = 1_048_576

interface Seen {
  readonly size: number
  readonly received: number
  readonly peakBytes: number
  readonly readingBytes: number
}

async function streamIn(transport: string): Promise<Seen> {
  const storage = await openTestStorage()
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=@ws/source',
      join(import.meta.dirname, 'stream-child.ts'),
      storage.url,
      process.env['WS_TEST_SUPABASE_KEY'] ?? keys.service,
      storage.bucket,
      '200',
      transport,
    ])
    return JSON.parse(stdout) as Seen
  } finally {
    await storage.stop()
  }
}

it('streams 200 MiB in and out of a process that takes no more than 250 MiB', async () => {
  const seen = await streamIn('fetch')
  expect(seen).toMatchObject({ size: 200 * MIB, received: 200 * MIB })
  expect(seen.peakBytes).toBeLessThan(250 * MIB)
})

it('gives back what is read of a connection at once, by storageFetch, to a reader that is done with it', async () => {
  const seen = await streamIn('storageFetch')
  expect(seen).toMatchObject({ size: 200 * MIB, received: 200 * MIB })
  expect(seen.peakBytes).toBeLessThan(250 * MIB)
  expect(seen.readingBytes).toBeLessThan(24 * MIB)
})
