import { accessSync, constants } from 'node:fs'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { runCommand } from './command-runner.ts'

/** Runs a command line to its end. @throws with its complaint when it fails */
export async function shell(
  command: string,
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  const parameters = ['-c', command]
  const run = { file: '/bin/sh', parameters, directory, environment, wantsOutput: false }
  const { code, complaint } = await runCommand(run)
  if (code !== 0) throw new Error(`${command} ended with ${code}: ${complaint}`)
}

/** What a command prints; empty when it cannot be run. */
export async function outputOf(file: string, ...parameters: string[]): Promise<string> {
  const run = { file, parameters, directory: tmpdir(), environment: {}, wantsOutput: true }
  const { code, output } = await runCommand(run)
  return code === 0 ? output.trim() : ''
}

export function isInstalled(...commands: readonly string[]): boolean {
  const places = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin']
  return commands.every((command) => places.some((place) => isExecutable(join(place, command))))
}

/** A command argument as the shell must see it. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
