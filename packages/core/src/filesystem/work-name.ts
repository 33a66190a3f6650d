import { randomBytes } from 'node:crypto'
import { basename } from 'node:path'
import { currentProcessIdentity, type ProcessIdentity } from './process-identity.ts'

/** Tag of the target, process, its start, and what makes it unique; then what became of it, once it is only rubbish. */
const WORK_NAME = /^\.ws-work-([\da-f]{12})-(\d+)-(\d+)-[\da-f]{12}(?:-(?:completed|undone))?$/

/** The name tells the process for the moments in which the owner file is not there yet, or not any more. */
export function workName(tag: string): string {
  const { pid, startTicks } = currentProcessIdentity()
  return `.ws-work-${tag}-${pid}-${startTicks ?? '0'}-${randomBytes(6).toString('hex')}`
}

/** Whether an entry right inside of a target is not part of its content: another process may be working there. */
export function isWorkDirectoryName(name: string): boolean {
  return WORK_NAME.test(name)
}

/** Whether it is the name of a work directory of the target with this tag. */
export function isWorkNameOf(name: string, tag: string): boolean {
  return WORK_NAME.exec(name)?.[1] === tag
}

export function ownerByName(work: string): ProcessIdentity {
  const [, , pid = '0', startTicks = '0'] = WORK_NAME.exec(basename(work)) ?? []
  return { ...currentProcessIdentity(), pid: Number(pid), startTicks: startTicks === '0' ? null : startTicks }
}
