import type { OptionNames } from '../known-options.ts'
import type { BundleStoreOptions } from './bundle-store-context.ts'
import type {
  DownloadOptions,
  ForkVersionOptions,
  LoadOptions,
  ReadFileOptions,
  SaveOptions,
  UploadOptions,
  VerifyOptions,
  VersionDetails,
  VersionOptions,
  WaitOptions,
} from './bundle-store.ts'
import type { CreateBundleOptions, ExtractBundleOptions, ExtractLimits } from './bundle.ts'
import type { LoadLimits } from './engine/load-options.ts'
import type { PruneOptions } from './engine/prune.ts'
import type { RepairOptions } from './engine/repair-version.ts'

// What each call takes, for callers without types; see `assertKnownOptions`.

export const waitOptionNames: OptionNames<WaitOptions> = { signal: true }

export const listOptionNames: OptionNames<WaitOptions & { readonly prefix?: unknown }> = {
  prefix: true,
  ...waitOptionNames,
}

export const versionOptionNames: OptionNames<VersionOptions> = { version: true, ...waitOptionNames }

export const downloadOptionNames: OptionNames<DownloadOptions> = { ...versionOptionNames, format: true }

export const readFileOptionNames: OptionNames<ReadFileOptions> = { ...versionOptionNames, range: true }

export const verifyOptionNames: OptionNames<VerifyOptions> = {
  ...versionOptionNames,
  repair: true,
  limits: true,
  onProgress: true,
}

export const repairOptionNames: OptionNames<RepairOptions> = {
  dryRun: true,
  directory: true,
  cacheDirectory: true,
  stores: true,
}

export const forkOptionNames: OptionNames<ForkVersionOptions> = {
  ...versionOptionNames,
  message: true,
  author: true,
  metadata: true,
  template: true,
}

const versionDetailNames: OptionNames<VersionDetails> = {
  message: true,
  author: true,
  metadata: true,
  tags: true,
  parent: true,
  onConflict: true,
  template: true,
  ...waitOptionNames,
}

export const uploadOptionNames: OptionNames<UploadOptions> = {
  ...versionDetailNames,
  limits: true,
  onProgress: true,
}

export const saveOptionNames: OptionNames<SaveOptions> = {
  ...versionDetailNames,
  exclude: true,
  cacheDirectory: true,
  onProgress: true,
}

export const loadOptionNames: OptionNames<LoadOptions> = {
  ...versionOptionNames,
  mode: true,
  paths: true,
  exclude: true,
  onDamage: true,
  cacheDirectory: true,
  limits: true,
  onProgress: true,
}

export const loadLimitNames: OptionNames<LoadLimits> = {
  maxContentBytes: true,
  maxFileBytes: true,
  maxEntries: true,
  maxDepth: true,
}

export const pruneOptionNames: OptionNames<PruneOptions> = {
  dryRun: true,
  workspaceId: true,
  graceMs: true,
  listDelayMs: true,
  exclusive: true,
  now: true,
  onProgress: true,
  ...waitOptionNames,
}

export const bundleStoreOptionNames: OptionNames<BundleStoreOptions> = {
  prefix: true,
  encryption: true,
  reliability: true,
  clock: true,
}

export const createBundleOptionNames: OptionNames<CreateBundleOptions> = {
  format: true,
  level: true,
  exclude: true,
  onProgress: true,
  ...waitOptionNames,
}

export const extractBundleOptionNames: OptionNames<ExtractBundleOptions> = {
  mode: true,
  profile: true,
  keepDirectory: true,
  secondReader: true,
  limits: true,
  onProgress: true,
  ...waitOptionNames,
}

export const extractLimitNames: OptionNames<ExtractLimits> = {
  ...loadLimitNames,
  maxArchiveBytes: true,
  maxRatio: true,
}
