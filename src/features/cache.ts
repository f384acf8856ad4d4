// Where features are cached, and the key of a sequence in the cache.
import { homedir } from 'node:os'
import { join } from 'node:path'
import { rowKey } from '../checkpoint/index.ts'

/** The default folder of the feature cache. */
export const defaultCache = (): string =>
  join(process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache'), 'tunesmith', 'features')

/** The key of a sequence: token ids, segment ids and selected positions, whatever tokenizer they come from. */
export const keyOf = (ids: Uint32Array, typeIds: Uint8Array | undefined, positions: Uint32Array | undefined): string =>
  // Missing segment ids mean the first segment.
  rowKey([ids, typeIds?.some((type) => type !== 0) ? typeIds : undefined, positions])
