// What a pretraining run shows of its model beside the loss: benchmarks, and samples by what the model can do.
import { resolve } from 'node:path'
import { z } from 'zod'
import { resolveData } from '../../checkpoint/index.ts'
import { ConfigError } from '../../core/index.ts'
import type { ProcessGroup } from '../../distributed/index.ts'
import { generate } from '../../generation/index.ts'
import { continuesText, LanguageHead, type Model } from '../../models/index.ts'
import type { VocabularyFacts } from '../../objectives/index.ts'
import {
  benchmarkNames,
  findHarnessTasks,
  harnessMetricName,
  harnessSchema,
  hubBenchmarks,
  isTaskFile,
  prepareHarness,
} from '../../tasks/index.ts'
import { inferenceMode, scope, tensor } from '../../tensor/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import type { ExampleSource } from '../../training/index.ts'
import type { GeneratedSample } from '../engine/run-kind.ts'

const { limit, fewShot, fewShotSeed } = harnessSchema.shape

export const harnessEvaluationSchema = z.strictObject({
  tasks: z
    .array(z.string())
    .default([])
    .describe(`benchmarks that each evaluation scores, by name (${benchmarkNames().join(', ')}), or task files`),
  data: z.string().optional().describe('folder with a folder for each benchmark, or hub: to download them'),
  limit,
  fewShot,
  fewShotSeed,
})
type HarnessEvaluationSettings = z.output<typeof harnessEvaluationSchema>

export const absoluteHarness = ({ tasks, data, ...rest }: HarnessEvaluationSettings): HarnessEvaluationSettings => ({
  ...rest,
  tasks: tasks.map((name) => (isTaskFile(name) ? resolve(name) : name)),
  ...(data === undefined ? {} : { data: data === hubBenchmarks ? data : resolve(data) }),
})

export interface HarnessEvaluation {
  /** Names of all metrics, such as `arc_easy.acc`. */
  names: string[]
  /** Metrics of the current weights. The processes of a group divide the work, and all get the result. */
  measure(group?: ProcessGroup): Promise<Record<string, number>>
}

/**
 * Reads the benchmarks of a recipe; undefined for a recipe without any.
 * @throws ConfigError for a model that is not causal and settings without effect, DataError for data that cannot be read
 */
export const openHarness = async (
  { tasks: names, data, ...settings }: HarnessEvaluationSettings,
  model: Model,
  tokenizer: Tokenizer,
): Promise<HarnessEvaluation | undefined> => {
  if (names.length === 0) {
    const given = data !== undefined || settings.limit !== undefined || settings.fewShot !== undefined
    if (given) throw new ConfigError('`harness` needs `harness.tasks`: name the benchmarks.')
    return undefined
  }
  if (!continuesText(model))
    throw new ConfigError(
      `\`harness.tasks\` needs a causal language model, got ${model.definition.type} with the head ${model.headType}. Remove it.`,
    )
  const tasks = await findHarnessTasks(names)
  // No interval of a metric is shown during training.
  const prepared = await prepareHarness(tasks, { folder: data, resolve: resolveData }, { ...settings, resamples: 1 })
  const measure = async (group?: ProcessGroup): Promise<Record<string, number>> => {
    const results = await prepared.run(model, tokenizer, { group })
    const values = Object.entries(results).flatMap(([task, { metrics }]) =>
      Object.entries(metrics).map(([name, { value }]) => [harnessMetricName(task, name), value] as const),
    )
    return Object.fromEntries(values)
  }
  return {
    names: tasks.flatMap(({ name, metrics }) => metrics.map((metric) => harnessMetricName(name, metric.name))),
    measure,
  }
}

interface SampleInputs {
  model: Model
  tokenizer: Tokenizer
  vocabulary: VocabularyFacts
  /** Prompts; if there are none, they are taken from `source`. */
  prompts: readonly string[]
  source: ExampleSource<unknown>
  device: string
}

const words = (text: string, count: number) => text.split(/\s+/).filter(Boolean).slice(0, count).join(' ')

/** The prompts of the recipe, or the beginnings of two validation examples. */
const promptsOf = (
  { prompts, source, model, tokenizer, vocabulary }: SampleInputs,
  length: number,
): readonly string[] => {
  if (prompts.length > 0) return prompts
  return [0, 1].map((position) => {
    const { ids = [] } = source.example(position).example as { ids?: ArrayLike<number> }
    const plain = Array.from(ids).filter((id) => !vocabulary.specialIds.has(id))
    return words(tokenizer.decode(plain.slice(0, 4 * length)), length) || model.definition.type
  })
}

/** A sentence with every sixth token masked, and the predictions for the masks. */
const fillMasks = ({ tokenizer, vocabulary, model, device }: SampleInputs, prompt: string): GeneratedSample => {
  const { cls, sep, mask } = vocabulary
  const limit = (model.facts.maxPositions ?? 128) - 2
  const plain = Array.from(tokenizer.encode(prompt, { addSpecialTokens: false }).ids).slice(0, Math.min(limit, 64))
  const hidden = plain.map((id, i) => (i % 6 === 3 ? (mask ?? id) : id))
  const ids = [...(cls === undefined ? [] : [cls]), ...hidden, ...(sep === undefined ? [] : [sep])]
  const shift = cls === undefined ? 0 : 1
  const best = inferenceMode(() =>
    scope(() => {
      const inputIds = tensor([ids], { dtype: 'int64', device })
      return model.forward({ inputIds }).logits.argmax(-1).toArray() as (number | bigint)[][]
    }),
  )
  const filled = plain.map((id, i) => (hidden[i] === mask ? Number(best[0][i + shift]) : id))
  const shown = tokenizer.decode(filled)
  return { prompt: tokenizer.decode(hidden, { skipSpecialTokens: false }), text: shown }
}

/** One sample per prompt; none for a model without a language head. */
export const takeSamples = async (inputs: SampleInputs): Promise<GeneratedSample[]> => {
  const { model, tokenizer, vocabulary } = inputs
  if (!(model.head instanceof LanguageHead)) return []
  const wasTraining = model.training
  model.eval()
  try {
    if (model.facts.causal) {
      const prompts = promptsOf(inputs, 8)
      const texts = await generate(model as never, tokenizer, prompts, {
        maxNewTokens: 40,
        sample: true,
        temperature: 0.8,
        seed: 0,
      })
      return prompts.map((prompt, i) => ({ prompt, text: texts[i].text ?? '' }))
    }
    if (vocabulary.mask === undefined) return []
    return promptsOf(inputs, 24).map((prompt) => fillMasks(inputs, prompt))
  } finally {
    if (wasTraining) model.train()
  }
}
