import type { Buffer } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { timeSlice } from '../../filesystem/time-slice.ts'
import type { BundleProgress, ExtractReport } from '../bundle.ts'
import { decompress } from './decompress.ts'
import { createEntryPolicy, tooMuch, type EntryPolicy, type ResolvedLimits } from './entry-policy.ts'
import type { FileBatches } from './file-batches.ts'
import { createSecondReader, type SecondReader } from './second-reader.ts'
import { createTarReader } from './tar-reader.ts'
import { createTreeWriter, type TreeWriter } from './tree-writer.ts'

export interface ExtractPlan {
  /** An empty private directory, or null to check the archive without writing anything. */
  readonly root: ByteString | null
  readonly profile: 'trusted' | 'untrusted'
  readonly limits: ResolvedLimits
  readonly umask: number
  /** Whether another reader must find the same members in it. */
  readonly isReadTwice: boolean
}

export interface ExtractedArchive {
  readonly report: ExtractReport
  readonly root: { readonly mode: number; readonly mtime: number } | null
  /** Directories that no entry of the archive describes. */
  readonly impliedDirectories: readonly ByteString[]
}

export interface ExtractArchiveOptions {
  readonly signal?: AbortSignal | undefined
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined
  /** Of a thread that writes small files. @default none */
  readonly batches?: FileBatches | undefined
}

/** So much is worked on between two looks at the clock. */
const SLICE_BYTES = 128 * 1024
const RATIO_FROM_BYTES = 1024 * 1024

/**
 * Reads a whole archive with every check and limit, and writes it below `plan.root`. Files are written with
 * synchronous calls, between which the event loop gets its turns.
 */
export async function extractArchive(
  input: AsyncIterator<Uint8Array>,
  plan: ExtractPlan,
  options: ExtractArchiveOptions,
): Promise<ExtractedArchive> {
  const { limits } = plan
  const { signal, onProgress, batches = null } = options
  const policy = createEntryPolicy(plan.profile, limits)
  const writer = plan.root === null ? null : createTreeWriter(plan.root, plan.umask, batches)
  const counted = countInput(input, limits.maxArchiveBytes)
  const implied = new Set<ByteString>()
  const second = plan.isReadTwice ? createSecondReader() : null
  const reader = createTarReader(visitor(policy, writer, implied, second))
  const slice = timeSlice(signal)
  let contentBytes = 0
  try {
    const { format, content } = await decompress(counted.chunks)
    for await (const chunk of content) {
      for (let offset = 0; offset < chunk.length; offset += SLICE_BYTES) {
        const bytes = chunk.subarray(offset, offset + SLICE_BYTES)
        reader.push(bytes)
        if (second !== null) await second.push(bytes)
        const pause = slice.pauseWhenDue()
        if (pause !== undefined) await pause
      }
      signal?.throwIfAborted()
      contentBytes += chunk.length
      if (contentBytes > RATIO_FROM_BYTES && contentBytes > limits.maxRatio * counted.bytes()) {
        throw tooMuch(`content of more than ${limits.maxRatio} times its size`)
      }
      onProgress?.({ phase: 'extract', entries: entryCount(policy), bytes: policy.totals.contentBytes })
    }
    reader.finish()
    await second?.finish()
    await writer?.finish(slice)
    signal?.throwIfAborted()
    const report: ExtractReport = {
      format,
      ...policy.totals,
      archiveBytes: counted.bytes(),
      skipped: policy.skipped,
      changed: policy.changed,
    }
    return { report, root: writer?.root() ?? null, impliedDirectories: [...implied] }
  } finally {
    writer?.close()
    second?.close()
  }
}

function visitor(
  policy: EntryPolicy,
  writer: TreeWriter | null,
  implied: Set<ByteString>,
  second: SecondReader | null,
) {
  let isSkipping = true
  return {
    header: () => policy.countHeader(),
    entry(entry: Parameters<EntryPolicy['decide']>[0]) {
      second?.found(entry)
      const step = policy.decide(entry)
      for (const parent of step.missingParents) implied.add(parent)
      if (step.action === 'directory') implied.delete(step.path)
      isSkipping = step.action === 'skip'
      if (!isSkipping) writer?.begin(step, entry.segments)
    },
    content(bytes: Buffer) {
      if (!isSkipping) writer?.write(bytes)
    },
    endOfEntry() {
      if (!isSkipping) writer?.end()
    },
  }
}

function countInput(
  input: AsyncIterator<Uint8Array>,
  maxBytes: number,
): { chunks: AsyncGenerator<Uint8Array, void, void>; bytes(): number } {
  let bytes = 0
  async function* chunks(): AsyncGenerator<Uint8Array, void, void> {
    for (;;) {
      const next = await input.next()
      if (next.done === true) return
      bytes += next.value.length
      if (bytes > maxBytes) throw tooMuch(`more than ${maxBytes} bytes`)
      yield next.value
    }
  }
  return { chunks: chunks(), bytes: () => bytes }
}

function entryCount({ totals }: EntryPolicy): number {
  return totals.files + totals.directories + totals.symlinks + totals.hardLinks
}
