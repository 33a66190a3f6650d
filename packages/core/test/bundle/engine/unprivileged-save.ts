/** Saves a directory into memory and prints what was skipped. */
import { memoryStore } from '@ws/store-memory'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import { saveDirectory } from '../../../src/bundle/engine/save/save-directory.ts'

const [directory = ''] = process.argv.slice(2)
const repository = await openRepository(memoryStore())
const saved = await saveDirectory(repository, {
  workspaceId: 'work',
  directory,
  parent: null,
  cacheDirectory: null,
})
process.stdout.write(JSON.stringify({ skipped: saved.skipped, files: saved.stats.files }))
