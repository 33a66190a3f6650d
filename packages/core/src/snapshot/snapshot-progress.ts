/** How far a capture or rollback is. JSON-safe. */
export interface SnapshotProgress {
  /**
   * `look`: at what is there; `read`: what is not known yet; `write`: putting back what a rollback has to, all of which it
   * reads before it writes the first. A rollback looks (and reads) before, and once more to prove what it did.
   */
  readonly phase: 'look' | 'read' | 'write'
  /** Paths that were looked at (some of them more than once), read or written in this phase. */
  readonly filesDone: number
  /** `null` while it is not known. */
  readonly filesExpected: number | null
  /** Bytes of content read in this phase. */
  readonly bytesDone: number
}

export type SnapshotProgressListener = (progress: SnapshotProgress) => void

const INTERVAL_MS = 50

/**
 * Passes on what a listener has to know: each phase's first and last report, and of those in between no more than one in
 * 50 ms. So the reporting side may report each file.
 */
export function passProgress(
  listener: SnapshotProgressListener | undefined,
  now: () => number = () => performance.now(),
): SnapshotProgressListener | undefined {
  if (listener === undefined) return undefined
  let phase = ''
  let passedAt = 0
  return (progress) => {
    const isEdge = progress.phase !== phase || progress.filesDone === progress.filesExpected
    if (!isEdge && now() - passedAt < INTERVAL_MS) return
    ;({ phase } = progress)
    passedAt = now()
    listener(progress)
  }
}

/** For one capture: what it looks at once more after reading has begun is no step back. */
export function onward(listener: SnapshotProgressListener | undefined): SnapshotProgressListener | undefined {
  let isReading = false
  return (
    listener &&
    ((progress) => {
      isReading ||= progress.phase === 'read'
      if (progress.phase === 'read' || !isReading) listener(progress)
    })
  )
}
