// The limit that a model's positions set on the length of examples.
import { ConfigError } from '../../core/index.ts'
import type { BodyFacts } from '../../models/index.ts'

/**
 * Checks `maxLength` against the model's positions.
 * @param virtualTokens positions that an adapter puts in front of every example
 * @throws ConfigError for more tokens than the model has positions
 */
export const expectPositions = (
  { maxPositions = Number.POSITIVE_INFINITY }: Pick<BodyFacts, 'maxPositions'>,
  maxLength: number,
  virtualTokens = 0,
): void => {
  const available = maxPositions - virtualTokens
  if (maxLength > available)
    throw new ConfigError(
      `Expected at most ${available} for \`maxLength\`, the positions of the model${virtualTokens > 0 ? ` without ${virtualTokens} virtual tokens` : ''}, got ${maxLength}. Lower it.`,
    )
}
