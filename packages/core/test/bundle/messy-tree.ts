import { Buffer } from 'node:buffer'
import { execFileSync } from 'node:child_process'
import { chmodSync, linkSync, lutimesSync, mkdirSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** A tree of all that makes archives go wrong, with times that have fractions. */
export function makeMessyTree(root: string): void {
  mkdirSync(join(root, 'empty'), { recursive: true })
  mkdirSync(join(root, 'src/tmp/venv'), { recursive: true })
  writeFileSync(join(root, 'src/tmp/venv/kept'), 'at any depth')
  writeFileSync(join(root, 'zero'), '')
  writeFileSync(join(root, 'block'), 'x'.repeat(512))
  writeFileSync(join(root, 'large'), Buffer.alloc(5_000_001, 'large content '))
  writeFileSync(join(root, 'private'), 'secret', { mode: 0o600 })
  writeFileSync(join(root, 'script'), '#!/bin/sh\n')
  chmodSync(join(root, 'script'), 0o755)
  writeFileSync(join(root, 'closed'), 'closed')
  chmodSync(join(root, 'closed'), 0)
  writeFileSync(join(root, 'everybody'), 'open')
  chmodSync(join(root, 'everybody'), 0o666)
  mkdirSync(join(root, 'read-only'))
  writeFileSync(join(root, 'read-only/inside'), 'inside')
  symlinkSync('nowhere/at-all', join(root, 'dangling'))
  symlinkSync('/etc/hostname', join(root, 'absolute'))
  symlinkSync('.', join(root, 'loop'))
  symlinkSync('src', join(root, 'to-directory'))
  symlinkSync('t'.repeat(300), join(root, 'long-link'))
  linkSync(join(root, 'large'), join(root, 'src/large-again'))
  linkSync(join(root, 'zero'), join(root, 'zero-again'))
  for (const name of [
    '-dash',
    'a b',
    'new\nline',
    'gr\u00fc\u00dfe',
    'e\u0301',
    '\u{1f600}',
    'back\\slash',
    'c:drive',
    'n'.repeat(101),
    'n'.repeat(255),
  ]) {
    writeFileSync(join(root, name), name)
  }
  writeFileSync(Buffer.concat([Buffer.from(`${root}/raw-`), Buffer.from([0xff, 0xfe])]), 'raw')
  symlinkSync(Buffer.from([0x74, 0xff]), join(root, 'raw-link'))
  mkdirSync(join(root, 'p'.repeat(120), 'q'.repeat(120), 'r'.repeat(120)), { recursive: true })
  writeFileSync(join(root, 'p'.repeat(120), 'q'.repeat(120), 'r'.repeat(120), 'leaf'), 'leaf')
  execFileSync('truncate', ['-s', '20M', join(root, 'sparse')])
  utimesSync(join(root, 'private'), 1_600_000_000.123456, 1_600_000_000.123456)
  utimesSync(join(root, 'script'), new Date(-86_400_500), new Date(-86_400_500))
  lutimesSync(join(root, 'dangling'), 1_500_000_000.25, 1_500_000_000.25)
  utimesSync(join(root, 'empty'), 1_400_000_000.5, 1_400_000_000.5)
  chmodSync(join(root, 'read-only'), 0o555)
  utimesSync(root, 1_300_000_000.75, 1_300_000_000.75)
}
