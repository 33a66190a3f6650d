export { assertKnownOptions, type OptionNames } from './known-options.ts'
export {
  isAmount,
  isBytes,
  isCount,
  isCountWithin,
  isFilledText,
  isFlag,
  isFunction,
  isObject,
  isObjectList,
  isOneOf,
  isPositive,
  isSignal,
  isText,
  isTextList,
  type OptionCheck,
} from './option-checks.ts'
export { WorkspaceError, errorCodes, type ErrorCode, type ErrorDetails } from './errors.ts'
export type {
  BodyChecksum,
  ByteRange,
  CallOptions,
  GetOptions,
  ListOptions,
  ObjectBody,
  ObjectInfo,
  ObjectStore,
  PutOptions,
  SignedUrlOptions,
  StoreCapabilities,
  StoredObject,
} from './store/object-store.ts'
export type { DirectoryStore } from './store/store-directory.ts'
export {
  MAX_KEY_BYTES,
  assertKeyPrefix,
  assertObjectKey,
  compareKeys,
  isObjectKey,
} from './store/object-key.ts'
export { defineStore, type DefineStoreOptions, type StoreMethods } from './store/define-store.ts'
export { plainEtag } from './store/plain-etag.ts'
export {
  fromEnvironment,
  isBucketName,
  isServiceUrl,
  isStorePrefix,
  withStorePrefix,
} from './store/store-options.ts'
export { conditionFailed, resolveByteRange, sizeMismatch } from './store/object-options.ts'
export {
  callFailure,
  connectionFailure,
  connectionMeaning,
  damagedContent,
  errnoOf,
  askedDelay,
  foreignAnswer,
  meaningsByName,
  missingBucket,
  refusalFailure,
  quoteKey,
  serviceWords,
  statusMeanings,
  unknownRefusal,
  type Meaning,
  type StoreCall,
} from './store/call-failure.ts'
export { plainCause, redactSecrets } from './store/plain-cause.ts'
export { isOtherRange, parseContentRange } from './store/content-range.ts'
export { discardAnswer } from './store/discard-answer.ts'
export { limitText, readText } from './store/read-text.ts'
export { receiveChunks } from './store/received-chunks.ts'
export { bodyChecksum } from './store/body-checksum.ts'
export { receiveBody, type ReceivedBody } from './store/received-body.ts'
export { unlessAborted } from './store/unless-aborted.ts'
export { sendRequest, type HttpRequest, type HttpResponse } from './store/send-request.ts'
export { readBody } from './store/read-body.ts'
export { beginUpload } from './store/begin-upload.ts'
export { readParts, type BodyPart } from './store/read-parts.ts'
export { requestRetries, type RequestRetries, type RequestRetryOptions } from './store/request-retries.ts'
export { readOnly } from './store/read-only.ts'
export {
  probeStore,
  type ProbeFinding,
  type ProbeStoreOptions,
  type StoreProbe,
} from './store/probe-store.ts'
export { withCapabilities } from './store/with-capabilities.ts'
export { withPrefix } from './store/with-prefix.ts'
export { withRetry, type RetryNotice, type RetryOptions } from './store/with-retry.ts'
export { withTimeout, type TimeoutOptions } from './store/with-timeout.ts'
export { withConcurrencyLimit, type ConcurrencyLimitOptions } from './store/with-concurrency-limit.ts'
export { reliableStore, type ReliableStoreOptions } from './store/reliable-store.ts'
export { openStore, type OpenStoreOptions } from './store/open-store.ts'
export {
  currentProcessIdentity,
  parseProcessIdentity,
  processState,
  type ProcessIdentity,
} from './filesystem/process-identity.ts'
export type {
  ArtifactGetOptions,
  ArtifactInfo,
  ArtifactPutOptions,
  ArtifactStore,
  OpenArtifact,
} from './artifact/artifact-store.ts'
export { createArtifactStore, type ArtifactStoreOptions } from './artifact/create-artifact-store.ts'
export { decodePath, encodePath } from './filesystem/path-text.ts'
export {
  decodePatch,
  type EntryState,
  type EntryType,
  type FileChange,
  type NestedRepositoryHead,
  type Omission,
  type OmissionReason,
  type RollbackRecovery,
  type Snapshot,
  type SnapshotBackendName,
  type SnapshotCoverage,
  type SnapshotMetadata,
  type WorkspaceDiff,
} from './snapshot/snapshot.ts'
export type {
  CaptureOptions,
  GitRestore,
  RollbackOptions,
  RollbackResult,
  RollbackSide,
  RollbackStep,
  SnapshotBackend,
  SnapshotCapabilities,
} from './snapshot/snapshot-backend.ts'
export type { SnapshotProgress, SnapshotProgressListener } from './snapshot/snapshot-progress.ts'
export type { CaptureLimits } from './snapshot/capture-policy.ts'
export type { LastCollection } from './snapshot/collect-later.ts'
export { collectAbandonedState, type CollectAbandonedOptions } from './snapshot/collect-abandoned-state.ts'
export type { RemovedSnapshot, SnapshotCollection, SnapshotStorage } from './snapshot/state-usage.ts'
export { createBundle } from './bundle/archive/create-bundle.ts'
export { checkBundle, extractBundle } from './bundle/archive/extract-bundle.ts'
export { createBundleStore } from './bundle/create-bundle-store.ts'
export type { BundleStoreOptions } from './bundle/bundle-store-context.ts'
export { assertWorkspaceId } from './bundle/workspace-id.ts'
export type {
  Bundle,
  BundleFormat,
  BundleProgress,
  BundleReport,
  BundleSkip,
  ChangeTotal,
  CreateBundleOptions,
  ExtractBundleOptions,
  ExtractLimits,
  ExtractReport,
  LoadLimits,
} from './bundle/bundle.ts'
export type {
  BundleDownload,
  BundleStore,
  DownloadOptions,
  ForkVersionOptions,
  LoadOptions,
  LoadProgress,
  LoadReport,
  ReadFileOptions,
  SaveOptions,
  SaveProgress,
  SaveReport,
  UploadOptions,
  UploadProgress,
  VerifyOptions,
  VersionDetails,
  VersionOptions,
  WaitOptions,
  WorkspaceLoadResult,
  WorkspaceSaveResult,
  WorkspaceSummary,
  UploadedVersion,
  WorkspaceVersion,
} from './bundle/bundle-store.ts'
export type { VersionChange, VersionEntry } from './bundle/engine/read/diff-versions.ts'
export type { CollectedGarbage, PackTotal } from './bundle/engine/maintain/collect-garbage.ts'
export type { PruneOptions, PruneProgress, PruneResult } from './bundle/engine/maintain/prune.ts'
export type { RepairOptions, VersionRepair } from './bundle/engine/maintain/repair-version.ts'
export type { RepositoryEncryption } from './bundle/engine/repository/repository.ts'
export {
  planRetention,
  type KeepReason,
  type RetainedVersion,
  type RetentionPlan,
  type RetentionPolicy,
} from './bundle/engine/maintain/retention-policy.ts'
export type { DamagedEntry, LeftEntry } from './bundle/engine/load/load-options.ts'
export type { ReadVersionFileOptions, VersionFile, VersionFileInfo } from './bundle/engine/read/read-file.ts'
export type {
  VerifiedVersion,
  VerifyProgress,
  VerifyVersionOptions,
  VersionProblem,
} from './bundle/engine/maintain/verify-version.ts'
export type { RepositoryUsage, VersionUsage, WorkspaceUsage } from './bundle/engine/maintain/usage.ts'
export type { VersionReference, VersionStats } from './bundle/format/version-record.ts'
export { Workspace } from './workspace/workspace.ts'
export type {
  CollectOptions,
  ForkOptions,
  SnapshotUsage,
  WorkspaceDiffOptions,
  WorkspaceOptions,
  WorkspaceSnapshotOptions,
} from './workspace/workspace-options.ts'
export {
  backupSession,
  restoreSession,
  type BackupSessionOptions,
  type RestoredSession,
  type RestoreSessionOptions,
  type SessionBackup,
} from './workspace/session.ts'
export type { IgnoreRules, SnapshotStrategy } from './snapshot/open-snapshot-backend.ts'
export type { PatchOptions } from './snapshot/compute-diff.ts'
export { executeRun } from './run/execute-run.ts'
export { runOnce, type RunOnceOptions } from './run/run-once.ts'
export {
  createRunRecordStore,
  type RunRecordStore,
  type RunRecordStoreOptions,
  type StartedRunRecord,
} from './run/run-record-store.ts'
export type {
  Agent,
  RunContext,
  RunOptions,
  RunProgress,
  RunRollbackOptions,
  RunSaveOptions,
} from './run/run-options.ts'
export type {
  RunEvent,
  RunEventFacts,
  RunStep,
  WorkspaceDiffComputed,
  WorkspaceRolledBack,
  WorkspaceSnapshotTaken,
  WorkspaceStepFailed,
} from './run/run-event.ts'
export type {
  RecordedDiff,
  RecordedError,
  RecordedWorkspace,
  RunOutcome,
  RunRecord,
  RunResult,
  RunStatus,
  RunWorkspace,
} from './run/run-result.ts'
