import type { OptionNames } from '../known-options.ts'
import type { ByteRange } from '../store/object-store.ts'
import {
  isAmount,
  isCount,
  isDate,
  isFalseOrObject,
  isFilledText,
  isFlag,
  isFunction,
  isObject,
  isObjectList,
  isOneOf,
  isSignal,
  isText,
  isTextList,
  isTextOrNull,
  isTextPairs,
  type OptionCheck,
} from '../option-checks.ts'
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
import type { PruneOptions } from './engine/maintain/prune.ts'
import type { RepairOptions } from './engine/maintain/repair-version.ts'

// What each call takes, for callers without types; see `assertKnownOptions`.

export const waitOptionNames: OptionNames<WaitOptions> = { signal: isSignal }

export const listOptionNames: OptionNames<WaitOptions & { readonly prefix?: unknown }> = {
  prefix: isText,
  ...waitOptionNames,
}

export const versionOptionNames: OptionNames<VersionOptions> = { version: true, ...waitOptionNames }

export const downloadOptionNames: OptionNames<DownloadOptions> = {
  ...versionOptionNames,
  format: isOneOf('tar.zst', 'tar.gz'),
}

export const readFileOptionNames: OptionNames<ReadFileOptions> = { ...versionOptionNames, range: isObject }

export const rangeNames: OptionNames<ByteRange> = { start: isCount, end: isCount }

export const verifyOptionNames: OptionNames<VerifyOptions> = {
  ...versionOptionNames,
  repair: isObject,
  limits: isObject,
  onProgress: isFunction,
}

export const repairOptionNames: OptionNames<RepairOptions> = {
  dryRun: isFlag,
  directory: isFilledText,
  cacheDirectory: isFilledText,
  stores: isObjectList,
}

export const forkOptionNames: OptionNames<ForkVersionOptions> = {
  ...versionOptionNames,
  message: isText,
  author: isTextOrNull,
  metadata: isTextPairs,
  template: isFlag,
}

const versionDetailNames: OptionNames<VersionDetails> = {
  message: isText,
  author: isTextOrNull,
  metadata: isTextPairs,
  tags: isTextList,
  parent: isCount,
  onConflict: isOneOf('fail', 'rebase'),
  template: isFlag,
  ...waitOptionNames,
}

export const uploadOptionNames: OptionNames<UploadOptions> = {
  ...versionDetailNames,
  limits: isObject,
  onProgress: isFunction,
}

export const saveOptionNames: OptionNames<SaveOptions> = {
  ...versionDetailNames,
  exclude: isTextList,
  cacheDirectory: isFilledText,
  onProgress: isFunction,
}

export const loadOptionNames: OptionNames<LoadOptions> = {
  ...versionOptionNames,
  mode: isOneOf('exact', 'merge'),
  paths: isTextList,
  exclude: isTextList,
  onDamage: isOneOf('fail', 'skip'),
  cacheDirectory: isFilledText,
  limits: isObject,
  onProgress: isFunction,
}

export const pruneOptionNames: OptionNames<PruneOptions> = {
  dryRun: isFlag,
  workspaceId: true,
  graceMs: true,
  listDelayMs: isAmount,
  exclusive: isFlag,
  now: isDate,
  onProgress: isFunction,
  ...waitOptionNames,
}

const isEncryption: OptionCheck = (value) => {
  const given = isObject(value) === null ? Object.entries(value as object) : []
  const isOne = given.filter(([, each]) => each !== undefined).length === 1
  return isOne ? null : 'an object with either a passphrase or a key'
}

export const bundleStoreOptionNames: OptionNames<BundleStoreOptions> = {
  prefix: isText,
  encryption: isEncryption,
  reliability: isFalseOrObject,
  clock: isFunction,
}
