/** Does one task in a process of its own and prints the most memory that it ever had, in KiB. */
import { createReadStream, createWriteStream, mkdirSync, readFileSync } from 'node:fs'
import { pipeline } from 'node:stream/promises'
import { createBundle, extractBundle, Workspace } from '@ws/core'

const [task, from = '', to = ''] = process.argv.slice(2)
if (task === 'create') await pipeline(createBundle(from), createWriteStream(to))
else if (task === 'extract') {
  mkdirSync(to)
  await extractBundle(createReadStream(from), to)
} else await new Workspace({ id: 'bench', path: from, stateDir: to }).snapshot({ strategy: 'hash' })
console.log(peakKibibytes())

function peakKibibytes(): number {
  try {
    return Number(/VmHWM:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
  } catch {
    return process.resourceUsage().maxRSS
  }
}
