// The registry of deduplicators.

import type { DeduplicatorDefinition } from './deduplicator.ts'
import { exact } from './exact.ts'
import { repeatedLines } from './lines.ts'
import { near } from './near.ts'
import { urlDuplicates } from './url.ts'

export { Clusters } from './clusters.ts'
export * from './deduplicator.ts'
export * from './drop-file.ts'

export { removeLines } from './lines.ts'
export * from './minhash.ts'

export { normalizeUrl } from './url.ts'

/** All deduplicators by type; document deduplicators should run before line deduplicators. */
export const deduplicators = {
  exact,
  url: urlDuplicates,
  near,
  lines: repeatedLines,
} as const satisfies Record<string, DeduplicatorDefinition>

export type DeduplicatorType = keyof typeof deduplicators
