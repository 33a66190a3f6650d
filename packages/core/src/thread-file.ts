import { existsSync } from 'node:fs'

/**
 * Where the code of a thread is: beside the code that starts it. The URL is made of a parameter, since bundlers take
 * `new URL` with `import.meta.url` for a file of theirs.
 * @param here `import.meta.url`, which a bundle of CommonJS does not have
 * @returns `null` where no thread can be started: the host was bundled into one file, or is not allowed to
 */
export function threadFile(here: string | undefined, name: string): URL | null {
  if (here === undefined || !here.startsWith('file:') || process.permission?.has('worker') === false)
    return null
  const file = new URL(`${name}${here.endsWith('.ts') ? '.ts' : '.js'}`, here)
  return existsSync(file) ? file : null
}
