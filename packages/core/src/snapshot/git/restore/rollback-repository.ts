import { dirname } from 'node:path'
import { WorkspaceError } from '../../../errors.ts'
import type { PreparedRepository, RollbackRepository } from '../../rollback/rollback-source.ts'
import type { Snapshot } from '../../snapshot.ts'
import type { GitWorkspace } from '../capture/read-contents.ts'
import type { UserRepository } from '../user/repository-layout.ts'
import {
  findUnrestored,
  nothingRestored,
  prepareRepository,
  restoreRepository,
} from './restore-repository.ts'
import { findUserRepository } from '../user/user-repository.ts'

/** The user's repository as a part of rollbacks that are asked for with `restoreGit`. */
export function rollbackRepository({ own, path }: Pick<GitWorkspace, 'own' | 'path'>): RollbackRepository {
  /** What is there now may not be what was there when the backend was opened. */
  const findNow = async (): Promise<UserRepository | string> => {
    try {
      const found = await findUserRepository(path, dirname(dirname(own.directory)))
      return typeof found === 'string' || found.prefix !== '' ? noRepository : found
    } catch (error) {
      if (WorkspaceError.is(error, 'CORRUPT')) return error.message
      throw error
    }
  }
  return {
    async prepare(target: Snapshot, guardId: string): Promise<PreparedRepository> {
      const { repository } = target.metadata
      const user = await findNow()
      if (repository === undefined || typeof user === 'string') {
        const reason = typeof user === 'string' ? user : 'the snapshot recorded no repository'
        const report = { ...nothingRestored, notRestored: [{ part: 'repository', reason }] }
        return { report, restore: () => Promise.resolve() }
      }
      const restore = await prepareRepository(own, user, repository, guardId)
      return {
        report: restore.report,
        async restore() {
          await restoreRepository(own, user, restore)
          const left = findUnrestored(user, restore)
          if (left.length > 0) throw changedMeanwhile(path, left)
        },
      }
    },
  }
}

const noRepository =
  'there is no repository at the top of the workspace any more; run "git init" there, then roll back again with restoreGit'

function changedMeanwhile(path: string, parts: readonly string[]): WorkspaceError {
  return new WorkspaceError(
    'CONFLICT',
    `The rollback was undone: ${parts.join(', ')} of the repository of ${path} changed meanwhile. Stop what works there, then roll back again.`,
    { details: { path, parts } },
  )
}
