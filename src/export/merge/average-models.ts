// `averageModels`: the mean of whole models, or of the newest checkpoints of runs, or of those of them that improve it. The
// work is that of `mergeModels` and `greedySoup`.
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, parseConfig } from '../../core/index.ts'
import { checkpointFiles } from '../../tracking/index.ts'
import { listSnapshots } from '../../training/index.ts'
import { type GreedySoup, greedySoup } from './greedy-soup.ts'
import { type MergeHooks, type MergeInput, type MergeResult, mergeModels, mergeSchema } from './merge-models.ts'

/** Settings of an average. */
export const averageModelsSchema = z.strictObject({
  last: z
    .int()
    .positive()
    .optional()
    .describe('newest checkpoints of each run to average, in place of its finished model'),
  weights: mergeSchema.shape.weights.describe('weight of each model (default: all alike)'),
  greedy: z
    .boolean()
    .default(false)
    .describe('greedy soup: try the models from the best one down, and keep those with which the mean is no worse'),
  data: z
    .union([z.string().transform((path) => [path]), z.array(z.string()).min(1)])
    .optional()
    .describe('greedy: validation data of the task that the models were fine-tuned on'),
  metric: z.string().optional().describe("greedy: metric that decides (default: the task's main metric)"),
})

/** Which models are averaged, and where to. */
export interface AverageInput extends Pick<MergeInput, 'models' | 'out'>, z.input<typeof averageModelsSchema> {}

/** What was averaged. */
export interface AverageResult extends MergeResult {
  /** What was tried, with `greedy`. */
  soup?: GreedySoup
}

/** @throws ConfigError for settings that do not fit each other */
const expectFitting = ({ greedy, data, metric, weights }: z.output<typeof averageModelsSchema>): void => {
  if (greedy && data === undefined) throw new ConfigError('`greedy` needs data to try models on: set `data`.')
  if (greedy && weights !== undefined)
    throw new ConfigError(
      '`weights` has no effect with `greedy`, where all models that stay count alike: leave it out.',
    )
  for (const [name, value] of Object.entries({ data, metric }))
    if (!greedy && value !== undefined) throw new ConfigError(`\`${name}\` has no effect without \`greedy\`: set it.`)
}

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
 * @throws ConfigError for models that differ in architecture, size or tokenizer, for adapters, for fewer than two models, and
 *   for `greedy` without data or with models that have no task
 */
export const averageModels = async (
  { models, out, ...rest }: AverageInput,
  hooks: MergeHooks = {},
): Promise<AverageResult> => {
  const settings = parseConfig(averageModelsSchema, rest, 'average')
  expectFitting(settings)
  const { last, weights, greedy, data = [], metric } = settings
  const all: string[] = []
  for (const model of models) all.push(...(last === undefined ? [model] : await newestOf(model, last)))
  if (greedy) {
    const soup = await greedySoup({ models: all, out, data, ...(metric && { metric }) }, hooks)
    return { out, method: 'greedy', models: soup.models, parameters: soup.parameters, soup }
  }
  return mergeModels({ models: all, method: 'linear', out, ...(weights && { weights }) }, hooks)
}
