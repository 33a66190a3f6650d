import { isGitInAnotherCase } from '../../git-in-another-case.ts'

const device = /^(con|prn|aux|nul|com[0-9]|lpt[0-9]|conin\$|conout\$)(\.|:|$)/i

/**
 * Names that no snapshot can hold. `.git` in another case is the repository itself where case does not count, and git
 * keeps no such name anywhere. On Windows some names mean devices, whatever their extension, and `git~1` is the short
 * name of `.git`.
 */
export function isUnsupportedName(name: string, platform: NodeJS.Platform = process.platform): boolean {
  if (isGitInAnotherCase(name)) return true
  if (platform !== 'win32') return false
  return device.test(name) || /^git~1$/i.test(name) || /^\.git[ .]+$/i.test(name) || /[ .]$/.test(name)
}
