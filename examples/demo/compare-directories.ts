import { lstat, readFile, readdir, readlink } from 'node:fs/promises'
import { join } from 'node:path'

/** Compares two directories and all that is in them, entry by entry: type, mode, modification time, bytes or link text. */
export async function compareDirectories(
  left: string,
  right: string,
): Promise<{ readonly compared: number; readonly differences: readonly string[] }> {
  const names = new Set([...(await list(left)), ...(await list(right))])
  const differences: string[] = []
  for (const name of [...names].sort()) {
    const [before, after] = await Promise.all([describe(join(left, name)), describe(join(right, name))])
    if (before !== after) differences.push(`${name}: ${before.slice(0, 60)} | ${after.slice(0, 60)}`)
  }
  return { compared: names.size, differences }
}

async function list(directory: string): Promise<string[]> {
  return ['.', ...(await readdir(directory, { recursive: true }))]
}

async function describe(path: string): Promise<string> {
  const info = await lstat(path).catch(() => null)
  if (info === null) return 'absent'
  const mode = (info.mode & 0o7777).toString(8)
  if (info.isSymbolicLink()) return `link ${await readlink(path)}`
  const times = `mode ${mode}, changed at ${Math.round(info.mtimeMs)}`
  if (info.isDirectory()) return `directory, ${times}`
  return `file, ${times}, ${(await readFile(path)).toString('base64')}`
}
