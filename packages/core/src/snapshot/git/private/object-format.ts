/** How a repository names its objects. */
export type ObjectFormat = 'sha1' | 'sha256'

export const objectFormats: readonly ObjectFormat[] = ['sha1', 'sha256']

/** The length of an id in bytes; in hexadecimal digits it is twice that. */
export function idBytesOf(format: ObjectFormat): number {
  return format === 'sha1' ? 20 : 32
}

/** Whether an id, in hexadecimal digits, is one of this format. */
export function hasFormat(format: ObjectFormat, id: string): boolean {
  return id.length === 2 * idBytesOf(format)
}
