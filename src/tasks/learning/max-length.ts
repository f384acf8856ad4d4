// Whether examples fit a model's positions. Knows no task.
import { ConfigError } from '../../core/index.ts'
import type { BodyFacts } from '../../models/index.ts'

/**
 * @param virtualTokens positions that are taken in front of every example
 * @throws ConfigError for more tokens than a model has positions for
 */
export const expectPositions = (
  { maxPositions = Number.POSITIVE_INFINITY }: Pick<BodyFacts, 'maxPositions'>,
  maxLength: number,
  virtualTokens = 0,
): void => {
  const room = maxPositions - virtualTokens
  if (maxLength > room)
    throw new ConfigError(
      `Expected at most ${room} tokens, all that the model has positions for${virtualTokens > 0 ? ` beside ${virtualTokens} virtual ones` : ''}, for \`maxLength\`, got ${maxLength}. Lower it.`,
    )
}
