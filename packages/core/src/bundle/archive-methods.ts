import { assertKnownOptions } from '../known-options.ts'
import { describeVersion, type BundleStoreContext } from './bundle-store-context.ts'
import type { BundleDownload, BundleStore } from './bundle-store.ts'
import { archiveVersion } from './engine/read/archive-version.ts'
import { saveDirectory } from './engine/save/save-directory.ts'
import { extractBundle } from './archive/extract-bundle.ts'
import { downloadOptionNames, uploadOptionNames } from './option-names.ts'
import { readableOnce } from './readable-once.ts'
import { withStagingDirectory } from './staging-directory.ts'
import { assertWorkspaceId } from './workspace-id.ts'

/** Versions as archives: what goes in and out of a bundle store as one stream. */
export function archiveMethods(context: BundleStoreContext): Pick<BundleStore, 'upload' | 'download'> {
  const { commit, findRecord, describeWithTags } = context
  return {
    async upload(id, bundle, given = {}) {
      assertWorkspaceId(id)
      assertKnownOptions('upload', given, uploadOptionNames)
      const { limits, onProgress, signal } = given
      return withStagingDirectory(async (directory) => {
        const extracted = await extractBundle(bundle, directory, {
          limits,
          secondReader: true,
          onProgress: onProgress && (({ entries, bytes }) => onProgress({ step: 'extract', entries, bytes })),
          signal,
        })
        const { record, tree } = await commit(id, { ...given, cacheDirectory: null }, (parent, repository) =>
          saveDirectory(repository, {
            workspaceId: id,
            directory,
            parent,
            cacheDirectory: null,
            onProgress: onProgress && ((progress) => onProgress({ step: 'save', ...progress })),
            signal,
          }),
        )
        const skipped = [...extracted.skipped, ...tree.skipped]
        return { ...describeVersion(record), skipped, changed: extracted.changed }
      })
    },

    async download(id, given = {}) {
      assertKnownOptions('download', given, downloadOptionNames)
      const { version, format = 'tar.zst', signal } = given
      const found = await findRecord(id, version, signal)
      if (found === null) return null
      const { repository, record } = found
      const chunks = archiveVersion(repository, record, format, signal)
      const described = await describeWithTags(repository, record, signal)
      return toDownload(chunks, { version: described, format })
    },
  }
}

function toDownload(
  chunks: AsyncGenerator<Uint8Array, void, void>,
  facts: Pick<BundleDownload, 'version' | 'format'>,
): BundleDownload {
  return {
    ...facts,
    ...readableOnce(chunks, 'This download', 'download'),
    async discard() {
      await chunks.return().catch(() => undefined)
    },
  }
}
