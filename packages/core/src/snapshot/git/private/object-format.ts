/** How a repository names its objects. */
export type ObjectFormat = 'sha1' | 'sha256'

/** The length of an id in bytes; in hexadecimal digits it is twice that. */
export function idBytesOf(format: ObjectFormat): number {
  return format === 'sha1' ? 20 : 32
}
