/** Loads a version into a directory. For processes that may open few files. */
import { readFileSync } from 'node:fs'
import { localStore } from '@ws/store-local'
import { loadDirectory } from '../../../src/bundle/engine/load/load-directory.ts'
import { openRepository } from '../../../src/bundle/engine/repository/repository.ts'
import type { VersionRecord } from '../../../src/bundle/format/version-record.ts'

const [base = '', directory = ''] = process.argv.slice(2)
const record = JSON.parse(readFileSync(`${base}/record.json`, 'utf8')) as VersionRecord
const repository = await openRepository(localStore({ root: `${base}/store` }))
await loadDirectory(repository, record, directory, { cacheDirectory: null })
