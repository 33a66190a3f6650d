import { spawn } from 'node:child_process'
import fs from 'node:fs'
import { syncBuiltinESMExports } from 'node:module'
import { join } from 'node:path'
import type { Snapshot } from '../../../src/snapshot/snapshot.ts'

/** Rolls back while another process goes on writing to the first file that was put in its place. Prints the outcome. */
const [name = '', path = '', stateDirectory = '', target = '', flag = ''] = process.argv.slice(2)

const file = join(path, 'a.txt')
const writer = `
  const fs = require('node:fs')
  const [file, flag] = process.argv.slice(1)
  while (!fs.existsSync(flag));
  for (let number = 0; ; number += 1) fs.writeFileSync(file, String(number))`
const child = spawn(process.execPath, ['-e', writer, file, flag], { stdio: 'ignore' })

const { renameSync } = fs
fs.renameSync = (from, to) => {
  renameSync(from, to)
  if (!from.toString().includes('.ws-rollback-') || fs.existsSync(flag)) return
  fs.writeFileSync(flag, '')
  const { mtimeNs } = fs.lstatSync(file, { bigint: true })
  while (fs.lstatSync(file, { bigint: true }).mtimeNs === mtimeNs);
}
syncBuiltinESMExports()

const { openRollbackBackend } = await import('./rollback-fixture.ts')
const backend = await openRollbackBackend(name as 'git' | 'bundle', path, stateDirectory)
const outcome = await backend.rollback(JSON.parse(target) as Snapshot).catch((error: unknown) => error)
child.kill('SIGKILL')
process.stdout.write(JSON.stringify(outcome))
