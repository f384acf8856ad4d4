// Where features are cached, and the key of a sequence in the cache.
import { rowKey } from '../checkpoint/index.ts'
import { userCache } from '../core/index.ts'

/** The default folder of the feature cache. */
export const defaultCache = (): string => userCache('features')

/** The key of a sequence: token ids, segment ids and selected positions, whatever tokenizer they come from. */
export const keyOf = (ids: Uint32Array, typeIds: Uint8Array | undefined, positions: Uint32Array | undefined): string =>
  // Missing segment ids mean the first segment.
  rowKey([ids, typeIds?.some((type) => type !== 0) ? typeIds : undefined, positions])
