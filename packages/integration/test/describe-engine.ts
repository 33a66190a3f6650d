import { engineChecks, runCheck } from '@ws/conformance'
import type { ObjectStore } from '@ws/core'
import { afterAll, beforeAll, describe, it } from 'vitest'

export interface OpenStore {
  readonly store: ObjectStore
  readonly close: () => void | Promise<unknown>
}

/** One file for each service, so that they run beside each other. */
export function describeEngine(service: string, open: () => Promise<OpenStore>): void {
  describe(`the engine on ${service}`, () => {
    let opened: OpenStore
    beforeAll(async () => {
      opened = await open()
    })
    afterAll(() => opened.close())

    // What is left behind goes with the server.
    for (const check of engineChecks)
      it(check.name, () => runCheck(check, opened.store, { keepObjects: true }))
  })
}
