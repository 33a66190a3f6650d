/** For a snapshot's notes: the process that held the lock before is dead. */
export function noteTakeover(pid: number): string {
  return `An earlier snapshot or rollback (process ${pid}) ended without cleaning up; its lock was taken over.`
}
