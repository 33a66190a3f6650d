/** Loads or recovers directories, and dies in each of them at the given step; then dies for good. */
import { readFileSync, writeSync } from 'node:fs'
import { localStore } from '@ws/store-local'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'
import { recoverDirectory } from '../../../src/filesystem/work-directory.ts'

export interface DyingLoad {
  readonly kind: 'load' | 'recover'
  readonly directory: string
  /** Never, when it is not reached. */
  readonly step: number
}

export interface Death {
  readonly steps: number
  readonly isDead: boolean
}

declare const dieAt: (step: number, work: () => Promise<unknown>) => Promise<Death>

const [base = ''] = process.argv.slice(2)
const jobs = JSON.parse(readFileSync(`${base}/jobs.json`, 'utf8')) as DyingLoad[]
const record = JSON.parse(readFileSync(`${base}/record.json`, 'utf8')) as VersionRecord
const repository = await openRepository(localStore({ root: `${base}/store` }))
const deaths: Death[] = []
for (const { kind, directory, step } of jobs) {
  const load = () => loadDirectory(repository, record, directory, { cacheDirectory: null })
  deaths.push(await dieAt(step, kind === 'load' ? load : () => recoverDirectory(directory)))
}
writeSync(1, JSON.stringify(deaths))
process.kill(process.pid, 'SIGKILL')
