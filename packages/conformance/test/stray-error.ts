/** Runs a check on a store that leaves a promise alone that rejects: run in a process of its own, which that would end. */
import { memoryStore } from '@ws/store-memory'
import { objectStoreChecks, runCheck } from '../src/index.ts'

const store = memoryStore()
const careless: typeof store = {
  ...store,
  async put(key, body, options) {
    if (!(body instanceof Uint8Array)) void Promise.reject(new Error('a part that nobody waits for'))
    return store.put(key, body, options)
  },
}
const check = objectStoreChecks.find(({ name }) => name.startsWith('a source that fails after many parts'))
if (check === undefined) throw new Error('There is no such check.')
await runCheck(check, careless).catch((error: Error) =>
  process.stdout.write(`${error.message.split('\n')[0]}\n`),
)
