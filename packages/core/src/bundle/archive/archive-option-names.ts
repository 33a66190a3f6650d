import type { OptionNames } from '../../known-options.ts'
import { isAmount, isFlag, isFunction, isObject, isOneOf, isSignal, isTextList } from '../../option-checks.ts'
import type { CreateBundleOptions, ExtractBundleOptions, ExtractLimits, LoadLimits } from '../bundle.ts'

export const createBundleOptionNames: OptionNames<CreateBundleOptions> = {
  format: true,
  level: true,
  exclude: isTextList,
  onProgress: isFunction,
  signal: isSignal,
}

export const extractBundleOptionNames: OptionNames<ExtractBundleOptions> = {
  mode: isOneOf('exact', 'merge'),
  profile: isOneOf('trusted', 'untrusted'),
  keepDirectory: isFlag,
  secondReader: isFlag,
  limits: isObject,
  onProgress: isFunction,
  signal: isSignal,
}

export const loadLimitNames: OptionNames<LoadLimits> = {
  maxContentBytes: isAmount,
  maxFileBytes: isAmount,
  maxEntries: isAmount,
  maxDepth: isAmount,
}

export const extractLimitNames: OptionNames<ExtractLimits> = {
  ...loadLimitNames,
  maxArchiveBytes: isAmount,
  maxRatio: isAmount,
}
