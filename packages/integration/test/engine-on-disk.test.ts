import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { localStore } from '@ws/store-local'
import { memoryStore } from '@ws/store-memory'
import { describeEngine } from './describe-engine.ts'

describeEngine('memory', async () => ({ store: memoryStore(), close: () => undefined }))

describeEngine('local', async () => {
  const root = mkdtempSync(join(tmpdir(), 'ws-engine-'))
  return { store: localStore({ root }), close: () => rmSync(root, { recursive: true, force: true }) }
})
