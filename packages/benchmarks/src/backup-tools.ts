import { join } from 'node:path'
import { outputOf, quote, shell } from './shell.ts'
import { megabytesIn } from './walk-tree.ts'

/** Something that keeps versions of a directory. */
export interface BackupTool {
  readonly name: string
  /** The programs that it needs; none for ours. */
  readonly programs: readonly string[]
  /** Whether a second save costs less than a first. */
  readonly isIncremental: boolean
  /** Whether it finds what moved within a file. */
  readonly deduplicates: boolean
  /** Takes part with big trees only in full runs: it is slow there, or nothing was promised beside it. */
  readonly isExtra: boolean
  /** Whether it can also restore over a directory that differs in a few files, looking at the others only. */
  readonly loadsOver?: boolean
  /** A repository of its own below an empty directory. */
  open(directory: string): BackupRepository
}

export interface BackupRepository {
  initialize(): Promise<unknown>
  /** Keeps the tree as the next version. */
  save(tree: string): Promise<unknown>
  /** Puts the latest version into an existing empty directory. */
  restore(destination: string): Promise<unknown>
  /** What the repository takes, caches not counted. */
  storedMegabytes(): number
}

export const TAR_ZSTD = 'tar | zstd -3 -T0'
const none = async (): Promise<void> => {}

const tarZstd: BackupTool = {
  name: TAR_ZSTD,
  programs: ['tar', 'zstd'],
  isIncremental: false,
  deduplicates: false,
  isExtra: false,
  open(directory) {
    const archive = quote(join(directory, 'archive.tar.zst'))
    return {
      initialize: none,
      save: (tree) => shell(`tar -cf - . | zstd -3 -T0 -q -f -o ${archive}`, tree),
      restore: (destination) => shell(`zstd -d -q -c ${archive} | tar -xf -`, destination),
      storedMegabytes: () => megabytesIn(directory),
    }
  },
}

const restic: BackupTool = {
  name: 'restic',
  programs: ['restic'],
  isIncremental: true,
  deduplicates: true,
  isExtra: false,
  open(directory) {
    const repository = join(directory, 'repository')
    const environment = {
      RESTIC_PASSWORD: 'bench',
      RESTIC_CACHE_DIR: join(directory, 'cache'),
      RESTIC_REPOSITORY: repository,
    }
    return {
      initialize: () => shell('restic init -q', directory, environment),
      save: (tree) => shell('restic backup -q .', tree, environment),
      restore: (destination) => shell('restic restore -q latest --target .', destination, environment),
      storedMegabytes: () => megabytesIn(repository),
    }
  },
}

const borg: BackupTool = {
  name: 'borg, zstd',
  programs: ['borg'],
  isIncremental: true,
  deduplicates: true,
  isExtra: true,
  open(directory) {
    const repository = join(directory, 'repository')
    const environment = {
      BORG_BASE_DIR: join(directory, 'base'),
      BORG_REPO: repository,
      BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK: 'yes',
      BORG_RELOCATED_REPO_ACCESS_IS_OK: 'yes',
    }
    let version = 0
    return {
      initialize: () => shell('borg init -e none', directory, environment),
      save: (tree) => shell(`borg create --compression zstd ::v${(version += 1)} .`, tree, environment),
      restore: (destination) => shell(`borg extract ::v${version}`, destination, environment),
      storedMegabytes: () => megabytesIn(repository),
    }
  },
}

const git: BackupTool = {
  name: 'git add + write-tree',
  programs: ['git'],
  isIncremental: true,
  deduplicates: false,
  isExtra: true,
  open(directory) {
    const repository = join(directory, 'repository')
    const environment = { GIT_DIR: repository, GIT_CONFIG_NOSYSTEM: '1', GIT_CONFIG_GLOBAL: '/dev/null' }
    return {
      async initialize() {
        await shell(
          'git init -q && git config gc.auto 0 && mkdir -p "$GIT_DIR/info" && echo "* -text" > "$GIT_DIR/info/attributes"',
          directory,
          environment,
        )
      },
      save: (tree) =>
        shell('git add -A -f . && git write-tree', tree, { ...environment, GIT_WORK_TREE: tree }),
      restore: (destination) =>
        shell('git checkout-index -a -f', destination, { ...environment, GIT_WORK_TREE: destination }),
      storedMegabytes: () => megabytesIn(repository),
    }
  },
}

const rsync: BackupTool = {
  name: 'rsync -a',
  programs: ['rsync'],
  isIncremental: true,
  deduplicates: false,
  isExtra: true,
  open(directory) {
    const copy = join(directory, 'copy')
    return {
      initialize: none,
      save: (tree) => shell(`rsync -a --delete ./ ${quote(copy)}/`, tree),
      restore: (destination) => shell(`rsync -a ${quote(copy)}/ ./`, destination),
      storedMegabytes: () => megabytesIn(copy),
    }
  },
}

const zpaq: BackupTool = {
  name: 'zpaq -m1',
  programs: ['zpaq'],
  isIncremental: true,
  deduplicates: true,
  isExtra: true,
  open(directory) {
    const archive = join(directory, 'archive.zpaq')
    return {
      initialize: none,
      save: (tree) => shell(`zpaq add ${quote(archive)} . -m1`, tree),
      restore: (destination) => shell(`zpaq extract ${quote(archive)} -to .`, destination),
      storedMegabytes: () => megabytesIn(directory),
    }
  },
}

export const peerTools: readonly BackupTool[] = [tarZstd, restic, borg, git, rsync, zpaq]

/** The versions of the programs, in words. */
export async function describePeers(): Promise<string> {
  const programs = {
    restic: 'version',
    borg: '--version',
    zstd: '--version',
    tar: '--version',
    rsync: '--version',
  }
  const described = await Promise.all(
    Object.entries(programs).map(async ([program, option]) => {
      const version = /\d+\.\d[\d.]*/.exec(await outputOf(program, option))?.[0]
      return version === undefined ? `no ${program}` : `${program} ${version}`
    }),
  )
  return described.join(', ')
}
