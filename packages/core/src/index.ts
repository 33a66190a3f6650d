export { WorkspaceError, errorCodes, type ErrorCode, type ErrorDetails } from './errors.ts'
export type {
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
export { MAX_KEY_BYTES, assertKeyPrefix, assertObjectKey, compareKeys } from './store/object-key.ts'
export type { ArtifactInfo, ArtifactPutOptions, ArtifactStore } from './artifact/artifact-store.ts'
export { decodePath, encodePath } from './filesystem/path-text.ts'
export {
  decodePatch,
  type EntryState,
  type EntryType,
  type FileChange,
  type Omission,
  type OmissionReason,
  type Snapshot,
  type SnapshotBackendName,
  type SnapshotCoverage,
  type SnapshotMetadata,
  type WorkspaceDiff,
} from './snapshot/snapshot.ts'
export type {
  CaptureOptions,
  RollbackOptions,
  RollbackResult,
  SnapshotBackend,
  SnapshotCapabilities,
} from './snapshot/snapshot-backend.ts'
