import { availableParallelism, cpus, loadavg, totalmem } from 'node:os'
import { describePeers } from './backup-tools.ts'
import { outputOf } from './shell.ts'

/** What the figures were measured on, in one line. */
export async function describeMachine(fileSystem: string): Promise<string> {
  const git = (await outputOf('git', '--version')).replace('git version ', 'git ')
  const memory = Math.round(totalmem() / 1024 ** 3)
  const load = (loadavg()[0] ?? 0).toFixed(1)
  const model = cpus()[0]?.model.trim() ?? 'unknown CPU'
  return `${availableParallelism()} cores (${model}), ${memory} GB, ${process.platform} ${process.arch}, Node ${process.versions.node}, ${git || 'no git'}, ${await describePeers()}, ${fileSystem}, load ${load} at the start`
}
