/** Runs commands for `command-runner.ts`, in a process that stays small. */
import { spawn } from 'node:child_process'
import type { Command, CommandResult } from './command-runner.ts'

/** Of what a command complains. */
const LAST_CHARACTERS = 500

process.on('message', ({ id, command }: { readonly id: number; readonly command: Command }) => {
  void run(command).then((result) => process.send?.({ id, result }))
})
process.on('disconnect', () => process.exit())

function run({ file, parameters, directory, environment, wantsOutput }: Command): Promise<CommandResult> {
  return new Promise((resolve) => {
    const child = spawn(file, parameters, {
      cwd: directory,
      env: { ...process.env, ...environment },
      stdio: ['ignore', wantsOutput ? 'pipe' : 'ignore', 'pipe'],
    })
    let output = ''
    let complaint = ''
    child.stdout?.on('data', (part: Buffer) => (output += part.toString()))
    child.stderr?.on(
      'data',
      (part: Buffer) => (complaint = (complaint + part.toString()).slice(-LAST_CHARACTERS)),
    )
    child.on('error', (error) => resolve({ code: null, output, complaint: String(error) }))
    child.on('close', (code) => resolve({ code, output, complaint }))
  })
}
