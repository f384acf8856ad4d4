// The numbers among the settings of a server: each is checked before a port is taken and a model is loaded.
import { z } from 'zod'
import { parseConfig } from '../core/index.ts'

const count = z.int().positive().optional()
const bytes = z.number().nonnegative().optional()
const seconds = z.number().positive().max(86_400).optional()

const schema = z.object({
  port: z.int().min(0).max(65_535).optional(),
  context: count,
  maxBodyBytes: count,
  maxNewTokens: count,
  maxWaiting: z.int().nonnegative().optional(),
  maxTexts: count,
  maxRows: count,
  prefillTokens: count,
  batchTokens: count,
  prefixCacheBytes: bytes,
  packedWeightBytes: bytes,
  memoryBytes: count,
  requestSeconds: seconds,
  drainSeconds: z.number().nonnegative().max(86_400).optional(),
  headerSeconds: seconds,
  bodySeconds: seconds,
  readSeconds: seconds,
})

/** @throws ConfigError for a limit that is no number of its kind */
export const checkLimits = (settings: object): void => void parseConfig(schema, settings, 'settings')
