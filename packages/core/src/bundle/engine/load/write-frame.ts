import { WorkspaceError } from '../../../errors.ts'
import type { ByteString } from '../../../filesystem/directory-handle.ts'
import { addResult, type FrameResult, type Piece } from './restore-frame.ts'
import type { FrameWriter } from './restore-threads.ts'
import type { PlannedFrame, StageBatch } from './stage-state.ts'
import type { StagingDirectories } from './staging-directories.ts'

/**
 * Writes the pieces of a frame into their directories, so many of which are held open at once as those allow: a frame of
 * small files can have thousands. Takes the memory of `stored`.
 */
export async function writeFrame(
  directories: StagingDirectories,
  { files }: Pick<StageBatch, 'files'>,
  writer: FrameWriter,
  planned: PlannedFrame,
  stored: Uint8Array,
): Promise<FrameResult> {
  const { pieces } = planned
  let merged: FrameResult = { damaged: [], damage: null, files: [] }
  for (let from = 0; from < pieces.length;) {
    const bases = new Map<number, ByteString>()
    const located: Piece[] = []
    try {
      for (const piece of pieces.slice(from)) {
        const place = files[piece.file]?.place
        if (place === undefined) throw new WorkspaceError('INTERNAL', 'A piece belongs to no file.')
        let base = bases.get(place.directory)
        if (base === undefined) {
          if (bases.size === directories.mostHeld) break
          base = directories.acquire(place.directory).base
          bases.set(place.directory, base)
        }
        located.push({ ...piece, base, name: place.name })
      }
      const end = from + located.length
      const job = { packId: planned.pack.packId, frame: planned.frame, pieces: located }
      const result = await writer.write(job, end < pieces.length ? new Uint8Array(stored) : stored)
      merged = addResult(merged, result, from)
      from = end
    } finally {
      for (const directory of bases.keys()) directories.release(directory)
    }
  }
  return merged
}
