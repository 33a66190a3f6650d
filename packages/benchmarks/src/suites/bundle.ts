import { createReadStream, createWriteStream, mkdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createBundle, extractBundle } from '@ws/core'
import { takeTurns, type Measurement, type Suite } from '../measurement.ts'
import { copyProjectTree } from '../trees/project-tree.ts'
import { isInstalled, quote, shell } from '../shell.ts'

const PACK = 'tar | zstd -3 -T0'
const UNPACK = 'zstd -d | tar -x'

/** Packing a project with its node_modules into one archive, and back. */
export const bundleSuite: Suite = {
  name: 'bundle',
  async run({ directory, samples, log }) {
    const project = join(directory, 'project')
    await copyProjectTree(project, log)
    const archive = join(directory, 'peer.tar.zst')
    const hasPeer = isInstalled('tar', 'zstd')
    const nothing = { run: async () => undefined }
    const packed = await takeTurns(samples, {
      peer: hasPeer
        ? { run: () => shell(`tar -cf - . | zstd -3 -T0 -q -f -o ${quote(archive)}`, project) }
        : nothing,
      ours: {
        run: () => pipeline(createBundle(project), createWriteStream(join(directory, 'ours.tar.zst'))),
      },
    })

    let number = 0
    let target = ''
    const nextTarget = async (): Promise<void> => {
      if (target !== '') rmSync(target, { recursive: true, force: true })
      target = join(directory, `out-${(number += 1)}`)
      mkdirSync(target)
    }
    const source = join(directory, 'ours.tar.zst')
    const unpacked = await takeTurns(samples, {
      peer: hasPeer
        ? { prepare: nextTarget, run: () => shell(`zstd -d -q -c ${quote(source)} | tar -xf -`, target) }
        : nothing,
      ours: { prepare: nextTarget, run: () => extractBundle(createReadStream(source), target) },
    })
    const line = (name: string, ours: number, peer: string, value: number, goal: number): Measurement => ({
      suite: 'bundle',
      name,
      unit: 'ms',
      ours,
      peer: hasPeer ? { name: peer, value } : { name: peer, absent: true },
      samples,
      target: goal,
    })
    return {
      measurements: [
        line('createBundle of 13,000 files', packed.ours, PACK, packed.peer, 1.3),
        line('extractBundle of 13,000 files', unpacked.ours, UNPACK, unpacked.peer, 1.3),
      ],
    }
  },
}
