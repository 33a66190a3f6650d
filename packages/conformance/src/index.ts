export { checksFor, objectStoreChecks } from './object-store-checks.ts'
export {
  runCheck,
  runChecks,
  type CheckReport,
  type CheckResult,
  type RunChecksOptions,
} from './run-checks.ts'
export { meetsNeed, type CheckContext, type StoreCheck, type StoreNeed } from './store-check.ts'
export { faultyStore, storeMethods, type StoreCall, type StoreMethod } from './faulty-store.ts'
