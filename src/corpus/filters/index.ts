// The registry of document filters: one entry a file. Names, flags, help and tests derive from it.

import type { FilterDefinition } from './filter.ts'

export * from './filter.ts'

/** All filters by type; recipes name them by these keys. */
export const filters = {} as const satisfies Record<string, FilterDefinition>
