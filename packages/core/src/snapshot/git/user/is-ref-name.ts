// eslint-disable-next-line no-control-regex
const refused = /[\u0000-\u0020\u007f~^:?*[\\]|\.\.|@\{|\/\/|\/$|\.$|\.lock(\/|$)|(^|\/)\./

/** Whether git takes a text for the name of a ref; the rules are those of `git check-ref-format`. */
export function isRefName(name: string): boolean {
  return name.includes('/') && !refused.test(name)
}
