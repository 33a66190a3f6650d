/** Runs checks on a store that leaves promises alone that reject: in a process of its own, which that would end. */
import { memoryStore } from '@ws/store-memory'
import { objectStoreChecks, runCheck } from '../src/index.ts'

const store = memoryStore()
const leaveAlone = (): void => void Promise.reject(new Error('nobody waits for this'))
const careless: typeof store = {
  ...store,
  async put(key, body, options) {
    if (!(body instanceof Uint8Array)) leaveAlone()
    return store.put(key, body, options)
  },
  async get(key, options) {
    const found = await store.get(key, options)
    return found && { ...found, discard: async () => leaveAlone() }
  },
}
for (const start of [
  'a source that fails after many parts',
  'a body that is discarded unread, half-read or read',
]) {
  const check = objectStoreChecks.find(({ name }) => name.startsWith(start))
  if (check === undefined) throw new Error('There is no such check.')
  await runCheck(check, careless).catch((error: Error) =>
    process.stdout.write(`${error.message.split('\n')[0]}\n`),
  )
}
