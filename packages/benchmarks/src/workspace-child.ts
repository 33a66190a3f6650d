/** Does one task in a process of its own and prints the most memory that it ever had, in KiB. */
import { createReadStream, createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createBundle, extractBundle, Workspace } from '@ws/core'
import { localStore } from '@ws/store-local'

const [task = '', directory = '', to = '', stateDir = ''] = process.argv.slice(2)
const open = (): Workspace =>
  new Workspace({ id: 'bench', path: directory, store: localStore({ root: to }), stateDir })

if (task === 'create') await pipeline(createBundle(directory), createWriteStream(to))
else if (task === 'extract') {
  mkdirSync(directory)
  await extractBundle(createReadStream(to), directory)
} else if (task === 'save') await open().save('bench')
else if (task === 'load') await open().load()
else if (task === 'hash')
  await new Workspace({ id: 'bench', path: directory, stateDir: to }).snapshot({ strategy: 'hash' })
else throw new Error(`no such task: ${task}`)
console.log(peakKibibytes())

function peakKibibytes(): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  } catch {
    return process.resourceUsage().maxRSS
  }
}
