/** Says what the value of an option has to be, in words; `null` for one that is. */
export type OptionCheck = (value: unknown) => string | null

// Checks for options of callers without types. One that is undefined is not looked at: it has its default.

export const isFlag: OptionCheck = (value) => (typeof value === 'boolean' ? null : 'true or false')

export const isText: OptionCheck = (value) => (typeof value === 'string' ? null : 'a text')

export const isFilledText: OptionCheck = (value) =>
  typeof value === 'string' && value !== '' ? null : 'a text that is not empty'

/** A text would otherwise be taken for a list of its letters. */
export const isTextList: OptionCheck = (value) =>
  Array.isArray(value) && value.every((item) => typeof item === 'string') ? null : 'a list of texts'

export const isTextOrNull: OptionCheck = (value) => (value === null ? null : isText(value))

/** A plain object of texts, also one without a prototype. Of a `Map` or `Headers` nothing would be seen, and nothing kept. */
export const isTextPairs: OptionCheck = (value) =>
  isPlainObject(value) && Object.values(value).every((text) => typeof text === 'string')
    ? null
    : 'a plain object of texts'

function isPlainObject(value: unknown): value is object {
  if (typeof value !== 'object' || value === null) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  // Also one that another realm has made.
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

export const isObject: OptionCheck = (value) =>
  typeof value === 'object' && value !== null && !Array.isArray(value) ? null : 'an object'

export const isFlagOrObject: OptionCheck = (value) =>
  isFlag(value) === null || isObject(value) === null ? null : 'true, false or an object'

export const isFalseOrObject: OptionCheck = (value) =>
  value === false || isObject(value) === null ? null : 'false or an object'

export const isObjectList: OptionCheck = (value) =>
  Array.isArray(value) && value.every((item) => isObject(item) === null) ? null : 'a list of objects'

export const isFunction: OptionCheck = (value) => (typeof value === 'function' ? null : 'a function')

/** Not an `ObjectStore`, whose `put` would take what is given, and whose `get` gives something else back. */
export const isArtifactStore: OptionCheck = (value) =>
  typeof value === 'object' && value !== null && 'put' in value && 'open' in value
    ? null
    : 'an artifact store: createArtifactStore(store) makes one'

export const isSignal: OptionCheck = (value) =>
  typeof value === 'object' && value !== null && 'throwIfAborted' in value && 'addEventListener' in value
    ? null
    : 'an AbortSignal'

/** Also infinity, for no limit. */
export const isAmount: OptionCheck = (value) =>
  typeof value === 'number' && value >= 0 ? null : 'a number of 0 or more'

export const isPositive: OptionCheck = (value) =>
  typeof value === 'number' && value >= 1 ? null : 'a number of 1 or more'

export const isCount: OptionCheck = (value) =>
  typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? null
    : 'a whole number of 0 or more'

export function isCountWithin(least: number, most: number): OptionCheck {
  return (value) =>
    isCount(value) === null && Number(value) >= least && Number(value) <= most
      ? null
      : `a whole number from ${least} to ${most}`
}

export const isDate: OptionCheck = (value) =>
  value instanceof Date && !Number.isNaN(value.getTime()) ? null : 'a Date'

export const isBytes: OptionCheck = (value) => (value instanceof Uint8Array ? null : 'a Uint8Array')

export function isOneOf(...words: readonly (string | boolean)[]): OptionCheck {
  return (value) =>
    words.some((word) => word === value) ? null : words.map((word) => JSON.stringify(word)).join(' or ')
}
