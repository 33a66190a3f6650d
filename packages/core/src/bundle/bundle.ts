/** A whole directory as one compressed tar archive that GNU tar reads. */
export type BundleFormat = 'tar.zst' | 'tar.gz'

/** The archive's bytes, made while they are read. Can be read once. */
export interface Bundle extends AsyncIterable<Uint8Array> {
  /** What went in and what did not. @throws `INVALID_INPUT` before the bytes have been read to their end. */
  report(): BundleReport
}

export interface CreateBundleOptions {
  /** @default 'tar.zst' */
  readonly format?: BundleFormat | undefined
  /** Compression level: 1 to 19 for zstd, 1 to 9 for gzip. @default 3 for zstd, 6 for gzip */
  readonly level?: number | undefined
  /**
   * What to leave out: globs anchored at the directory (`node_modules` is the top one only, `**` + `/node_modules` every
   * one; a matched directory goes with all that it holds). Nothing is left out that is not named here.
   * @default nothing
   */
  readonly exclude?: readonly string[] | undefined
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/** JSON-safe. */
export interface BundleReport {
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  readonly hardLinks: number
  /** Bytes of file content that went in. */
  readonly contentBytes: number
  /** Bytes of the archive as it was sent. */
  readonly archiveBytes: number
  /** Paths matched by `exclude`, sorted; a directory stands for all that it holds. */
  readonly excluded: readonly string[]
  /** What could not go in, and why: sockets and devices, unreadable or vanished files, paths of 64 KiB and more. */
  readonly skipped: readonly BundleSkip[]
  /** Files that changed while they were read; what is in the archive is their recorded length, padded or cut. */
  readonly unstable: readonly string[]
}

export interface BundleSkip {
  readonly path: string
  readonly reason:
    | 'special-file'
    | 'unreadable'
    | 'vanished'
    | 'excluded'
    | 'unsupported-name'
    | 'too-large'
    | 'over-total'
}

export interface BundleProgress {
  readonly phase: 'create' | 'extract'
  readonly entries: number
  readonly bytes: number
}

export interface ExtractLimits {
  /** Compressed input. @default 64 GiB */
  readonly maxArchiveBytes?: number | undefined
  /** All content together. @default 256 GiB */
  readonly maxContentBytes?: number | undefined
  /** One file. @default 256 GiB */
  readonly maxFileBytes?: number | undefined
  /** Files, directories and links. @default 5_000_000 */
  readonly maxEntries?: number | undefined
  /**
   * Content to compressed input, looked at from the first MiB of content on: a guard against archives made to explode.
   * @default 2_000 for the untrusted profile; none for the trusted one, where a file of zeros is legal content
   */
  readonly maxRatio?: number | undefined
  /** Levels of directories below the one that is extracted into. @default 4_096 */
  readonly maxDepth?: number | undefined
}

export type LoadLimits = Pick<ExtractLimits, 'maxContentBytes' | 'maxFileBytes' | 'maxEntries' | 'maxDepth'>

export interface ChangeTotal {
  readonly files: number
  readonly bytes: number
}

export interface ExtractBundleOptions {
  /**
   * `exact`: afterwards the directory holds what the archive holds and nothing else. `merge`: what else is there stays.
   * @default 'exact'
   */
  readonly mode?: 'exact' | 'merge' | undefined
  /**
   * `trusted`: files, directories, links as text, hard links inside the archive, permission bits.
   * `untrusted`: files and directories only; links are skipped and reported. Both are equally unable to write outside.
   * @default 'trusted'
   */
  readonly profile?: 'trusted' | 'untrusted' | undefined
  /**
   * With `exact`: keep the directory itself and exchange what it holds, so that shells inside it and containers that
   * have it mounted see the new content. Costs the one-step replacement (see `extractBundle`).
   * @default false
   */
  readonly keepDirectory?: boolean | undefined
  /**
   * Read the archive with a second, independent reader as well (tar-stream) and refuse it with `CORRUPT` when the two
   * find different members in it: such archives show one content to a checker and another one to a program that
   * extracts them. Costs about a third of the time.
   * @default true for `checkBundle` and for the untrusted profile, else false
   */
  readonly secondReader?: boolean | undefined
  /** @default the limits above */
  readonly limits?: ExtractLimits | undefined
  readonly onProgress?: ((progress: BundleProgress) => void) | undefined
  /** @default never */
  readonly signal?: AbortSignal | undefined
}

/** JSON-safe. What extracting an archive did; anything that is not exactly as the archive says is listed. */
export interface ExtractReport {
  readonly format: BundleFormat
  readonly files: number
  readonly directories: number
  readonly symlinks: number
  readonly hardLinks: number
  readonly contentBytes: number
  readonly archiveBytes: number
  /** Entries that were not written, and why. */
  readonly skipped: readonly { readonly path: string; readonly reason: string }[]
  /** Entries that were written otherwise than the archive says (a set-uid bit dropped), and how. */
  readonly changed: readonly { readonly path: string; readonly reason: string }[]
}
