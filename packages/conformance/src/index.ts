export { checkStore, formatReport, type StoreCheckReport } from './check-store.ts'
export { checksFor, fixtureChecks, objectStoreChecks } from './object-store-checks.ts'
export {
  runCheck,
  runChecks,
  type CheckReport,
  type CheckResult,
  type RunCheckOptions,
  type RunChecksOptions,
} from './run-checks.ts'
export { engineChecks, runEngineChecks } from './run-engine-checks.ts'
export { meetsNeed, type CheckContext, type StoreCheck, type StoreNeed } from './store-check.ts'
export type { FixtureName, OpenFixture, StoreFixtures } from './store-fixtures.ts'
export { faultyStore, storeMethods, type StoreCall, type StoreMethod } from './faulty-store.ts'
