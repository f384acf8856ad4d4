// Whether examples fit a model's positions. Knows no task.
import { ConfigError } from '../core/index.ts'
import type { BodyFacts } from '../models/index.ts'

/** @throws ConfigError for more tokens than a model has positions for */
export const expectPositions = (
  { maxPositions = Number.POSITIVE_INFINITY }: Pick<BodyFacts, 'maxPositions'>,
  maxLength: number,
): void => {
  if (maxLength > maxPositions)
    throw new ConfigError(
      `Expected at most ${maxPositions} tokens, all that the model has positions for, for \`maxLength\`, got ${maxLength}. Lower it.`,
    )
}
