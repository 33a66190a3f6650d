import type { ExtractReport } from './bundle.ts'

/**
 * Passes a stream on while `check` reads the same chunks. The stream fails as soon as the check does, and ends only
 * when the check has approved all of it, so that nothing unchecked is ever taken for whole.
 */
export function teeCheck(
  source: AsyncIterable<Uint8Array>,
  check: (chunks: AsyncIterable<Uint8Array>) => Promise<ExtractReport>,
): { readonly chunks: AsyncGenerator<Uint8Array, void, void>; result(): Promise<ExtractReport> } {
  let wake: (() => void) | undefined
  let slot: Uint8Array | null = null
  let isEnded = false
  let isChecked = false
  const notify = (): void => {
    wake?.()
    wake = undefined
  }
  const changed = (): Promise<void> => new Promise((resolve) => (wake = resolve))

  async function* copies(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      while (slot === null && !isEnded) await changed()
      if (slot === null) return
      const chunk = slot
      slot = null
      notify()
      yield chunk
    }
  }

  let outcome: Promise<ExtractReport> | undefined
  async function* chunks(): AsyncGenerator<Uint8Array, void, void> {
    const checking = check(copies()).finally(() => {
      isChecked = true
      notify()
    })
    checking.catch(() => undefined)
    outcome = checking
    try {
      for await (const chunk of source) {
        slot = chunk
        notify()
        while (slot !== null && !isChecked) await changed()
        if (isChecked) await checking
        yield chunk
      }
    } finally {
      isEnded = true
      notify()
    }
    await checking
  }
  return {
    chunks: chunks(),
    async result() {
      if (outcome === undefined) throw new Error('the stream was not read')
      return outcome
    },
  }
}
