import { execFileSync } from 'node:child_process'
import { onTestFinished } from 'vitest'

/**
 * Mounts something for the time of the test, at most.
 * @returns what ends it sooner: a directory that a hook removes is removed before the test is over
 * @throws when it may not be done, saying what to do
 */
export function mount(target: string, ...options: string[]): () => void {
  try {
    execFileSync('mount', [...options, target], { stdio: ['ignore', 'ignore', 'pipe'] })
  } catch (error) {
    throw new Error(
      `This test cannot mount a file system. Run it with "npm run test:unit -- FILE", which gives it a user namespace, or as root; its file has to be in scripts/tests-as-root.ts.`,
      { cause: error },
    )
  }
  let isMounted = true
  const unmount = (): void => {
    if (isMounted) execFileSync('umount', ['--lazy', target])
    isMounted = false
  }
  onTestFinished(unmount)
  return unmount
}
