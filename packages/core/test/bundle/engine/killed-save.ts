/** Saves a directory and kills itself at a given step: the n-th report of progress, or after all of them at the put. */
import { localStore } from '@ws/store-local'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import { saveDirectory } from '../../../src/bundle/engine/save/save-directory.ts'
import type { SavedTree } from '../../../src/bundle/engine/save/saved-tree.ts'
import { recordOf } from './save-session.ts'

const [root = '', directory = '', cacheDirectory = '', killAt = '', parent = ''] = process.argv.slice(2)
const die = (): void => void process.kill(process.pid, 'SIGKILL')
const local = localStore({ root })
const repository = await openRepository({
  ...local,
  name: local.name,
  capabilities: local.capabilities,
  async put(key, body, options) {
    // In the middle of the put: the store has some of the bytes.
    const bytes = body as Uint8Array
    async function* halves(): AsyncGenerator<Uint8Array> {
      yield bytes.subarray(0, bytes.length / 2)
      die()
      await new Promise(() => undefined)
    }
    return local.put(key, halves(), options)
  },
})
let steps = 0
await saveDirectory(repository, {
  workspaceId: 'work',
  directory,
  cacheDirectory,
  parent: recordOf(JSON.parse(parent) as SavedTree, 1),
  onProgress() {
    steps += 1
    if (steps === Number(killAt)) die()
  },
})
