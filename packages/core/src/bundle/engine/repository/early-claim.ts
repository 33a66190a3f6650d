import { randomBytes } from 'node:crypto'
import type { Repository } from './repository.ts'
import { claimVersion, withdrawClaim, type TakenNumber, type VersionClaim } from './version-claim.ts'

/** The claim of a save, made while its last pack goes up: so nothing waits for the claim. */
export interface EarlyClaim {
  /** Claims the version, unless that was done, or the store creates atomically and needs no claims. */
  make(): void
  /** The claim, when it is of that version; whoever takes it withdraws it, too. Once. */
  take(version: number): VersionClaim | null
  /** Withdraws the claim that nobody has taken. */
  drop(): Promise<void>
}

/** @param look as for `claimVersion` */
export function earlyClaim(
  repository: Repository,
  { workspaceId, version }: { readonly workspaceId: string; readonly version: number },
  look: () => Promise<TakenNumber | null>,
  signal: AbortSignal | undefined,
): EarlyClaim {
  let isMade = repository.store.capabilities.createIfAbsent !== 'checked'
  let claim: VersionClaim | null = null
  const give = (): VersionClaim | null => {
    const given = claim
    claim = null
    return given
  }
  return {
    make() {
      if (isMade) return
      isMade = true
      const nonce = randomBytes(16).toString('hex')
      claim = claimVersion(repository, { workspaceId, version, nonce }, look, signal)
    },
    take: (wanted) => (wanted === version ? give() : null),
    async drop() {
      const left = give()
      if (left !== null) await withdrawClaim(repository, left)
    },
  }
}
