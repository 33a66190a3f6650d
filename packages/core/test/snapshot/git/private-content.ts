import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { inflateSync } from 'node:zlib'

function listFiles(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
}

/** Whether text is anywhere below a directory, as it is or in one of git's loose objects. */
export function holds(directory: string, text: string): boolean {
  return listFiles(directory).some((path) => {
    const bytes = readFileSync(path)
    if (bytes.includes(text)) return true
    try {
      return inflateSync(bytes).includes(text)
    } catch {
      return false
    }
  })
}
