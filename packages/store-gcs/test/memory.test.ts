import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startGcsServer } from '@ws/test-servers'
import { expect, it } from 'vitest'

const MIB = 1_048_576

it('streams 200 MiB in and out of a process that takes no more than 250 MiB', async () => {
  const real = process.env['WS_TEST_GCS_BUCKET']
  const server = real === undefined ? await startGcsServer() : null
  try {
    const { stdout } = await promisify(execFile)(process.execPath, [
      '--conditions=@ws/source',
      join(import.meta.dirname, 'stream-child.ts'),
      server?.url ?? '',
      real ?? 'bucket',
      '200',
    ])
    const seen = JSON.parse(stdout) as { size: number; received: number; peakBytes: number }
    expect(seen).toMatchObject({ size: 200 * MIB, received: 200 * MIB })
    expect(seen.peakBytes).toBeLessThan(250 * MIB)
  } finally {
    await server?.stop()
  }
})
