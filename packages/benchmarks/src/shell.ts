import { execFile, spawn } from 'node:child_process'
import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'

/** Runs a command line to its end. @throws with its complaint when it fails */
export async function shell(
  command: string,
  directory: string,
  environment: Readonly<Record<string, string>> = {},
): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const child = spawn('/bin/sh', ['-c', command], {
      cwd: directory,
      env: { ...process.env, ...environment },
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    let complaint = ''
    child.stderr.on('data', (chunk: Buffer) => (complaint = (complaint + chunk.toString()).slice(-500)))
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new Error(`${command} ended with ${code}: ${complaint}`))
    })
  })
}

/** What a command prints; empty when it cannot be run. */
export async function outputOf(command: string, ...arguments_: string[]): Promise<string> {
  return new Promise((resolve) => {
    execFile(command, arguments_, (error, stdout) => resolve(error === null ? stdout.trim() : ''))
  })
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
