import { Buffer, isUtf8 } from 'node:buffer'
import type { ByteString } from '../../filesystem/directory-handle.ts'
import { refused } from './archive-error.ts'

const MAX_COMPONENT_BYTES = 255
const deviceNames = /^(con|prn|aux|nul|conin\$|conout\$|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)/i

/**
 * The path of an entry below the directory, without `.` parts; '' for the directory itself.
 * @throws `UNSAFE_PATH` for what could lead elsewhere.
 */
export function entryPath(path: ByteString, profile: 'trusted' | 'untrusted'): ByteString {
  if (path === '') throw refused('UNSAFE_PATH', path, 'its name is empty')
  if (path.includes('\0')) throw refused('UNSAFE_PATH', path, 'its name holds a NUL')
  if (path.startsWith('/')) throw refused('UNSAFE_PATH', path, 'its name is an absolute path')
  const parts: ByteString[] = []
  for (const part of path.split('/')) {
    if (part === '' || part === '.') continue
    if (part === '..') throw refused('UNSAFE_PATH', path, 'its name goes up with ".."')
    if (part.length > MAX_COMPONENT_BYTES) {
      throw refused(
        'UNSUPPORTED',
        path,
        `a part of its name has ${part.length} bytes, more than file systems allow`,
      )
    }
    if (process.platform === 'win32' || profile === 'untrusted') checkPortable(path, part)
    parts.push(part)
  }
  return parts.join('/')
}

/** What some system takes for another name than it looks: refused for an archive of unknown origin. */
function checkPortable(path: ByteString, part: ByteString): void {
  const bytes = Buffer.from(part, 'latin1')
  if (!isUtf8(bytes)) throw refused('UNSAFE_PATH', path, 'its name is not UTF-8')
  const text = bytes.toString('utf8')
  if (/[\\:]/.test(text)) throw refused('UNSAFE_PATH', path, 'its name holds a backslash or a colon')
  if (/[\p{Cc}\u200e\u200f\u202a-\u202e\u2066-\u2069]/u.test(text)) {
    throw refused('UNSAFE_PATH', path, 'its name holds control or direction characters')
  }
  if (/[. ]$/.test(text)) throw refused('UNSAFE_PATH', path, 'a part of its name ends in a dot or blank')
  if (deviceNames.test(text)) throw refused('UNSAFE_PATH', path, 'its name is that of a device on Windows')
}

/** Names that some file system takes for the same have the same key. */
export function collisionKey(path: ByteString): string {
  const text = Buffer.from(path, 'latin1').toString('utf8').normalize('NFKC')
  return text.toUpperCase().toLowerCase().normalize('NFKC')
}

/** Whether git would take this part of a path for its own directory, on any system. */
export function isGitDirectory(part: ByteString): boolean {
  const text = Buffer.from(part, 'latin1').toString('utf8')
  const visible = text.replace(/[\u200c-\u200f\u202a-\u202e\u2060-\u206f\ufeff]/g, '')
  return /^(\.git|git~[0-9]+)$/i.test(visible)
}
