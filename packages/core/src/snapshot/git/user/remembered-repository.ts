import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { replaceFile } from '../../hash/replace-file.ts'
import type { UserRepository } from './repository-layout.ts'

/** Notes where the parts of the repository are, for the day on which an agent removes it. */
export function rememberRepository(stateDirectory: string, user: UserRepository): void {
  const text = JSON.stringify(user)
  const path = rememberedPath(stateDirectory)
  try {
    if (readFileSync(path, 'utf8') === text) return
  } catch {
    // Not noted yet.
  }
  try {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 })
    replaceFile(path, Buffer.from(text))
  } catch {
    // A state directory that cannot be written fails elsewhere.
  }
}

/** @returns `null` when none was ever opened */
export function recallRepository(stateDirectory: string): UserRepository | null {
  try {
    return JSON.parse(readFileSync(rememberedPath(stateDirectory), 'utf8')) as UserRepository
  } catch {
    return null
  }
}

function rememberedPath(stateDirectory: string): string {
  return join(stateDirectory, 'git', 'repository-layout')
}
