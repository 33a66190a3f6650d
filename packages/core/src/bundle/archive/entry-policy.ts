import { WorkspaceError } from '../../errors.ts'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { refused } from './archive-error.ts'
import type { ExtractLimits } from '../bundle.ts'
import { collisionKey, entryPath, isGitDirectory } from './entry-path.ts'
import { pathText } from '../../filesystem/path-text.ts'
import type { TarEntry } from './tar-entry.ts'

export type ResolvedLimits = { readonly [Name in keyof ExtractLimits]-?: number }

/** What is to be done for one entry; its paths are safe to append to a directory that holds no links. */
export interface EntryStep {
  readonly action: 'file' | 'directory' | 'symlink' | 'hard-link' | 'skip'
  readonly path: ByteString
  /** Of a hard link: the path of the file. Of a symlink: its text, which may be anything. */
  readonly linkPath: ByteString
  readonly mode: number
  readonly mtime: number
  readonly size: number
  /** Directories that the archive does not mention, outermost first. */
  readonly missingParents: readonly ByteString[]
  /** What an earlier entry of the same path made, which this one replaces. */
  readonly replaces: 'file' | 'symlink' | null
}

interface EntryTotals {
  files: number
  directories: number
  symlinks: number
  hardLinks: number
  contentBytes: number
}

export interface EntryPolicy {
  readonly totals: EntryTotals
  readonly skipped: { path: string; reason: string }[]
  readonly changed: { path: string; reason: string }[]
  /** @throws `UNSAFE_PATH`, `QUOTA_EXCEEDED` or `UNSUPPORTED` for an entry that refuses the whole archive. */
  decide(entry: TarEntry): EntryStep
  countHeader(): void
}

type Kind = 'file' | 'hard-link' | 'symlink' | 'directory' | 'implied' | 'skipped'

/**
 * Decides about entries one after the other, without looking at any file system: which paths are safe, what may replace
 * what, which bits stay. A directory is never replaced by something else or the other way round, nothing is ever below
 * a link, and a hard link names an earlier file of the same archive.
 */
export function createEntryPolicy(profile: 'trusted' | 'untrusted', limits: ResolvedLimits): EntryPolicy {
  return new ArchivePolicy(profile, limits)
}

class ArchivePolicy implements EntryPolicy {
  readonly totals: EntryTotals = { files: 0, directories: 0, symlinks: 0, hardLinks: 0, contentBytes: 0 }
  readonly skipped: { path: string; reason: string }[] = []
  readonly changed: { path: string; reason: string }[] = []
  private readonly profile: 'trusted' | 'untrusted'
  private readonly limits: ResolvedLimits
  private readonly kinds = new Map<ByteString, Kind>([['', 'implied']])
  private readonly symlinkTexts = new Map<ByteString, ByteString>()
  private readonly collisionKeys = new Set<string>()
  private headers = 0

  constructor(profile: 'trusted' | 'untrusted', limits: ResolvedLimits) {
    this.profile = profile
    this.limits = limits
  }

  countHeader(): void {
    this.headers += 1
    // A normal entry needs up to two this.headers that describe it.
    const { files, directories, symlinks, hardLinks } = this.totals
    const entries = files + directories + symlinks + hardLinks + this.skipped.length
    if (entries >= this.limits.maxEntries || this.headers > 3 * this.limits.maxEntries + 3) {
      throw tooMuch(`more than ${this.limits.maxEntries} entries`)
    }
  }

  private skip(path: ByteString, reason: string): EntryStep {
    if (path !== '' && !this.kinds.has(path)) this.kinds.set(path, 'skipped')
    this.skipped.push({ path: pathText(path), reason })
    return {
      action: 'skip',
      path,
      linkPath: '',
      mode: 0,
      mtime: 0,
      size: 0,
      missingParents: [],
      replaces: null,
    }
  }

  private addMissingParents(path: ByteString): ByteString[] {
    const missing: ByteString[] = []
    for (let slash = path.lastIndexOf('/'); slash > 0; slash = path.lastIndexOf('/', slash - 1)) {
      const parent = path.slice(0, slash)
      const kind = this.kinds.get(parent)
      if (kind === 'directory' || kind === 'implied') break
      if (kind !== undefined) throw refused('UNSAFE_PATH', path, `it lies below ${kindText(kind)}`)
      this.checkCollision(parent)
      this.kinds.set(parent, 'implied')
      missing.unshift(parent)
    }
    return missing
  }

  private checkCollision(path: ByteString): void {
    if (this.profile === 'trusted') return
    const key = collisionKey(path)
    if (this.collisionKeys.has(key)) {
      throw refused('UNSAFE_PATH', path, 'some systems take its name for that of another entry')
    }
    this.collisionKeys.add(key)
  }

  /** A load counts in the same way: directories, not what is in the innermost one. */
  private checkDepth(path: ByteString, type: TarEntry['type']): void {
    const { maxDepth } = this.limits
    const names = path === '' ? 0 : path.split('/').length
    const depth = type === 'directory' ? names : names - 1
    if (depth <= maxDepth) return
    throw refused('QUOTA_EXCEEDED', path, `it is ${depth} directories deep; at most ${maxDepth} are allowed`)
  }

  private claim(
    path: ByteString,
    kind: 'file' | 'hard-link' | 'symlink' | 'directory',
  ): EntryStep['replaces'] {
    const present = this.kinds.get(path)
    if (present === undefined) this.checkCollision(path)
    if (kind === 'directory') {
      if (present === 'file' || present === 'hard-link' || present === 'symlink') {
        throw refused('UNSAFE_PATH', path, `an earlier entry makes it ${kindText(present)}`)
      }
      if (present === 'directory' && this.profile === 'untrusted' && path !== '') throw duplicate(path)
      if (present !== 'directory') this.totals.directories += 1
      this.kinds.set(path, kind)
      return null
    }
    if (present === 'directory' || present === 'implied') {
      throw refused('UNSAFE_PATH', path, 'an earlier entry makes it a directory')
    }
    if (present === undefined || present === 'skipped') {
      this.kinds.set(path, kind)
      return null
    }
    if (this.profile === 'untrusted') throw duplicate(path)
    if (present === 'symlink') this.totals.symlinks -= 1
    else if (present === 'hard-link') this.totals.hardLinks -= 1
    else this.totals.files -= 1
    this.symlinkTexts.delete(path)
    this.kinds.set(path, kind)
    return present === 'symlink' ? 'symlink' : 'file'
  }

  private keepMode(entry: TarEntry, path: ByteString): number {
    if ((entry.mode & 0o7000) !== 0) {
      const names = [
        (entry.mode & 0o4000) === 0 ? [] : ['set-uid'],
        (entry.mode & 0o2000) === 0 ? [] : ['set-gid'],
        (entry.mode & 0o1000) === 0 ? [] : ['sticky'],
      ].flat()
      this.changed.push({ path: pathText(path), reason: `${names.join(' and ')} bit dropped` })
    }
    return entry.mode & 0o777
  }

  private decideLink(entry: TarEntry, path: ByteString): Pick<EntryStep, 'action' | 'linkPath' | 'replaces'> {
    if (entry.type === 'symlink') {
      const text = entry.linkPath
      if (text === '' || text.includes('\0')) throw refused('UNSAFE_PATH', path, 'it is a link to nothing')
      const replaces = this.claim(path, 'symlink')
      this.symlinkTexts.set(path, text)
      this.totals.symlinks += 1
      return { action: 'symlink', linkPath: text, replaces }
    }
    const target = entryPath(entry.linkPath, this.profile)
    const text = this.symlinkTexts.get(target)
    if (target !== path && text !== undefined) {
      // GNU tar stores the second name of a symlink like this; a link with the same text is the same thing.
      const replaces = this.claim(path, 'symlink')
      this.symlinkTexts.set(path, text)
      this.totals.symlinks += 1
      return { action: 'symlink', linkPath: text, replaces }
    }
    const targetKind = this.kinds.get(target)
    if (target === path || (targetKind !== 'file' && targetKind !== 'hard-link')) {
      throw refused(
        'UNSAFE_PATH',
        path,
        'it is a hard link to something that is not an earlier file of the archive',
      )
    }
    const replaces = this.claim(path, 'hard-link')
    this.totals.hardLinks += 1
    return { action: 'hard-link', linkPath: target, replaces }
  }

  decide(entry: TarEntry): EntryStep {
    const path = entryPath(entry.path, this.profile)
    this.checkDepth(path, entry.type)
    if (path === '' && entry.type !== 'directory') {
      throw refused('UNSAFE_PATH', entry.path, 'it would replace the directory itself')
    }
    if (entry.type === 'device') return this.skip(path, 'special-file')
    if (this.profile === 'untrusted') {
      if (path.split('/').some(isGitDirectory)) return this.skip(path, 'git-directory')
      if (entry.type === 'symlink' || entry.type === 'hard-link') return this.skip(path, 'link')
    }
    if (entry.size > this.limits.maxFileBytes) {
      throw refused(
        'QUOTA_EXCEEDED',
        path,
        `it has ${entry.size} bytes; at most ${this.limits.maxFileBytes} are allowed`,
      )
    }
    if (this.totals.contentBytes + entry.size > this.limits.maxContentBytes) {
      throw tooMuch(`more than ${this.limits.maxContentBytes} bytes of content`)
    }
    const missingParents = this.addMissingParents(path)
    const base = { path, mtime: entry.mtime, size: entry.size, missingParents }
    if (entry.type === 'symlink' || entry.type === 'hard-link') {
      return { ...base, ...this.decideLink(entry, path), mode: entry.mode & 0o777 }
    }
    const replaces = this.claim(path, entry.type)
    if (entry.type === 'file') {
      this.totals.files += 1
      this.totals.contentBytes += entry.size
    }
    return { ...base, action: entry.type, linkPath: '', replaces, mode: this.keepMode(entry, path) }
  }
}

export function tooMuch(what: string): WorkspaceError {
  return new WorkspaceError(
    'QUOTA_EXCEEDED',
    `The archive has ${what}. Nothing was changed; raise the limit if the archive is wanted.`,
  )
}

function duplicate(path: ByteString): WorkspaceError {
  return refused('UNSAFE_PATH', path, 'an earlier entry has the same name')
}

function kindText(kind: Kind): string {
  return kind === 'symlink'
    ? 'a symlink'
    : kind === 'file' || kind === 'hard-link'
      ? 'a file'
      : 'an entry that is left out'
}
