// `averageModels`: the mean of whole models, or of the newest checkpoints of runs. The work is that of `mergeModels`.
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { checkpointFiles } from '../../tracking/index.ts'
import { listSnapshots } from '../../training/index.ts'
import { type MergeHooks, type MergeInput, type MergeResult, mergeModels, mergeSchema } from './merge-models.ts'

/** Settings of an average. */
export const averageModelsSchema = z.strictObject({
  last: z
    .int()
    .positive()
    .optional()
    .describe('newest checkpoints of each run to average, in place of its finished model'),
  weights: mergeSchema.shape.weights.describe('weight of each model (default: all alike)'),
})

/** Which models are averaged, and where to. */
export interface AverageInput extends Pick<MergeInput, 'models' | 'out'>, z.input<typeof averageModelsSchema> {}

/** The newest checkpoints of a run, as folders of whole models. @throws ConfigError for a run that kept fewer */
const newestOf = async (run: string, count: number): Promise<string[]> => {
  const found = await listSnapshots(run)
  if (found.length < count)
    throw new ConfigError(
      `Expected a run with ${count} checkpoints for \`last\`, got ${run} with ${found.length}. Train it with \`keep.last\` ${count}, or lower \`last\`.`,
    )
  return found.slice(0, count).map(({ path }) => join(path, checkpointFiles.model))
}

/**
 * Averages the weights of whole models of one architecture (model soup), in float32.
 * @throws ConfigError for models that differ in architecture, size or tokenizer, for adapters, and for fewer than two models
 */
export const averageModels = async (
  { models, out, ...rest }: AverageInput,
  hooks: MergeHooks = {},
): Promise<MergeResult> => {
  const { last, weights } = parseConfig(averageModelsSchema, rest, 'average')
  const all: string[] = []
  for (const model of models) all.push(...(last === undefined ? [model] : await newestOf(model, last)))
  return mergeModels({ models: all, method: 'linear', out, ...(weights && { weights }) }, hooks)
}
