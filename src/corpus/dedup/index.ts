// The registry of deduplicators.

import type { DeduplicatorDefinition } from './deduplicator.ts'
import { exact, urlDuplicates } from './keyed.ts'
import { repeatedLines } from './lines.ts'
import { near } from './near.ts'

export * from './database.ts'
export * from './deduplicator.ts'
export { normalizeUrl } from './keyed.ts'

export { removeLines } from './lines.ts'
export * from './minhash.ts'
export { Clusters } from './near.ts'

/** All deduplicators by type; document deduplicators should run before line deduplicators. */
export const deduplicators = {
  exact,
  url: urlDuplicates,
  near,
  lines: repeatedLines,
} as const satisfies Record<string, DeduplicatorDefinition>

export type DeduplicatorType = keyof typeof deduplicators
