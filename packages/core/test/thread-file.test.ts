import { fileURLToPath } from 'node:url'
import { afterEach, expect, it } from 'vitest'
import { threadFile } from '../src/thread-file.ts'

const here = new URL('../src/bundle/archive/run-in-worker.ts', import.meta.url).href
const permission = Object.getOwnPropertyDescriptor(process, 'permission')

afterEach(() => {
  if (permission === undefined) Reflect.deleteProperty(process, 'permission')
  else Object.defineProperty(process, 'permission', permission)
})

function allow(isAllowed: boolean): void {
  Object.defineProperty(process, 'permission', { value: { has: () => isAllowed }, configurable: true })
}

it('is the file beside the code that starts the thread, with its ending', () => {
  expect(fileURLToPath(threadFile(here, 'bundle-worker') ?? '')).toMatch(/archive.bundle-worker\.ts$/)
  expect(threadFile(here.replace(/ts$/, 'js'), 'bundle-worker')).toBeNull()
})

it('is none where that is not there, nowhere, or elsewhere than in files', () => {
  expect(threadFile(here, 'no-worker')).toBeNull()
  expect(threadFile(undefined, 'bundle-worker')).toBeNull()
  expect(threadFile('https://host/index.js', 'bundle-worker')).toBeNull()
})

it('is none where Node may start no threads', () => {
  allow(true)
  expect(threadFile(here, 'bundle-worker')).not.toBeNull()
  allow(false)
  expect(threadFile(here, 'bundle-worker')).toBeNull()
})
