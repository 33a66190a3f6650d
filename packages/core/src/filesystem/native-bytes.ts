import { Buffer, isUtf8 } from 'node:buffer'
import { readlinkSync, symlinkSync } from 'node:fs'

/** Where a link leads, as bytes. */
export function readLinkBytes(path: string | Buffer): Buffer {
  return bytesOf(readlinkSync(path, { encoding: 'buffer' }))
}

/** Makes a link. By texts where they will do, because a patched `node:fs` need not take bytes. */
export function writeLink(target: Buffer, path: string | Buffer): void {
  symlinkSync(textOf(target), typeof path === 'string' ? path : textOf(path))
}

function textOf(bytes: Buffer): string | Buffer {
  return isUtf8(bytes) ? bytes.toString('utf8') : bytes
}

/**
 * What `node:fs` answers when it is asked for bytes. Where it is patched, as for Yarn's zip archives, it may answer with a
 * text all the same.
 */
export function bytesOf(answer: Buffer | string): Buffer {
  return typeof answer === 'string' ? Buffer.from(answer, 'utf8') : answer
}
