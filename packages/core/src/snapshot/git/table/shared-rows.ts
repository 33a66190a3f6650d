/** Files to look at, shared by all threads that do. */
export interface SharedRows {
  /** Real path of the workspace. */
  readonly root: string
  /** How many pieces of the rows somebody has taken. */
  readonly taken: Int32Array
  /** For each row what was found; zero as long as that is not known. */
  readonly verdicts: Uint8Array
}

export const UNKNOWN = 0

const ROWS_PER_PIECE = 256

export function shareRows(root: string, count: number): SharedRows {
  return {
    root,
    taken: new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT)),
    verdicts: new Uint8Array(new SharedArrayBuffer(count)),
  }
}

/** Takes one piece after the other until none is left. */
export function* takePieces({ taken, verdicts }: SharedRows): Generator<{ from: number; to: number }> {
  for (;;) {
    const from = Atomics.add(taken, 0, 1) * ROWS_PER_PIECE
    if (from >= verdicts.length) return
    yield { from, to: Math.min(from + ROWS_PER_PIECE, verdicts.length) }
  }
}

/** Leaves no more pieces for anybody. */
export function takeAll({ taken, verdicts }: SharedRows): void {
  Atomics.store(taken, 0, verdicts.length)
}

export function* rowsWith({ verdicts }: SharedRows, verdict: number): Generator<number> {
  for (let row = verdicts.indexOf(verdict); row !== -1; row = verdicts.indexOf(verdict, row + 1)) yield row
}
