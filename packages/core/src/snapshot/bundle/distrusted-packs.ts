import { existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { VERIFY_ADVICE } from '../../bundle/format/damaged-object.ts'
import type { VersionRecord } from '../../bundle/format/version-record.ts'
import { WorkspaceError } from '../../errors.ts'
import type { BundleWorkspace } from './workspace-versions.ts'

const ADVICE =
  'Nothing but the snapshots that need it is hit: their other paths can be rolled back with the option paths, and the next snapshot stores everything anew.'

/**
 * Notes the packs in which damage was met, so that no later capture builds on them: a pack is read only when its content
 * is needed, and what a capture finds unchanged it does not store again.
 * @returns what to throw, with advice that fits a private store
 */
export function distrustDamaged(workspace: BundleWorkspace, error: unknown): unknown {
  const causes = error instanceof Error && error.cause instanceof AggregateError ? error.cause.errors : []
  for (const damage of [error, ...causes]) {
    const packId = WorkspaceError.is(damage, 'CORRUPT') ? packOf(damage) : undefined
    if (packId === undefined) continue
    mkdirSync(listOf(workspace), { recursive: true, mode: 0o700 })
    writeFileSync(join(listOf(workspace), packId), '')
  }
  if (!WorkspaceError.is(error) || !error.message.includes(VERIFY_ADVICE)) return error
  const { code, details } = error
  return new WorkspaceError(code, error.message.replaceAll(VERIFY_ADVICE, ADVICE), { cause: error, details })
}

export function hasDistrustedPack(workspace: BundleWorkspace, { packs }: VersionRecord): boolean {
  return existsSync(listOf(workspace)) && packs.some(({ id }) => existsSync(join(listOf(workspace), id)))
}

/** Forgets packs that are no more. */
export function sweepDistrusted(workspace: BundleWorkspace, packDirectory: string): void {
  if (!existsSync(listOf(workspace))) return
  for (const packId of readdirSync(listOf(workspace)))
    if (!existsSync(join(packDirectory, packId))) rmSync(join(listOf(workspace), packId), { force: true })
}

function packOf({ details }: WorkspaceError): string | undefined {
  return /\bpacks?[/ ]([0-9a-f]{32})\b/.exec(`${String(details['key'])} ${String(details['object'])}`)?.[1]
}

function listOf({ cacheDirectory }: BundleWorkspace): string {
  return join(cacheDirectory, 'distrusted')
}
