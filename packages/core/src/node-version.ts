import zlib from 'node:zlib'

/**
 * Refuses a Node that lacks what this package needs, in a sentence. What an older Node does not have must be taken from
 * the default import of `node:zlib` and `node:crypto` everywhere: a named import would fail first, with a SyntaxError that
 * says nothing.
 */
export function assertNodeVersion(): void {
  if ('createZstdDecompress' in zlib && 'crc32' in zlib) return
  throw new Error(
    `@ws/core needs Node 22.15 or newer; this is Node ${process.versions.node}. Install a newer one.`,
  )
}
