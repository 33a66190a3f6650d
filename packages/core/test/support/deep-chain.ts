import { closeSync, existsSync, mkdirSync, openSync, writeFileSync } from 'node:fs'

/** Makes nested directories, deeper than a path can say, with a file `f` in each. Those that are there stay. */
export function makeDeepChain(path: string, levels: number, content: string): void {
  mkdirSync(path, { recursive: true })
  let fd = openSync(path, 'r')
  for (let level = 0; level <= levels; level += 1) {
    const base = `/proc/self/fd/${fd}`
    writeFileSync(`${base}/f`, `${content} ${level}`)
    if (level === levels) break
    if (!existsSync(`${base}/d`)) mkdirSync(`${base}/d`)
    const inner = openSync(`${base}/d`, 'r')
    closeSync(fd)
    fd = inner
  }
  closeSync(fd)
}
