import { homedir } from 'node:os'
import { join } from 'node:path'

/** One of the user's files that git reads unless its configuration names another one. */
export function configurationFile(name: string): string {
  const base = process.env['XDG_CONFIG_HOME'] || join(process.env['HOME'] ?? homedir(), '.config')
  return join(base, 'git', name)
}
