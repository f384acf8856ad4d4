// Settings of fine-tuning that change the forward passes of training: noise and adversarial moves of embeddings, mixout.
import { type AppliedAdapter, addEmbeddingNoise, EmbeddingAdversary } from '../../adapters/index.ts'
import { ConfigError } from '../../core/index.ts'
import { Linear } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import { Mixout, type TrainableModel } from '../../training/index.ts'
import type { FinetuneRecipe } from './recipe.ts'

type Settings = Pick<
  FinetuneRecipe,
  'neftuneAlpha' | 'fgmEpsilon' | 'mixout' | 'seed' | 'shard' | 'variant' | 'randomInit'
>

/** Matrices of the body's linear layers that are trained themselves and have the values of the base. */
const trainedMatrices = ({ model }: AppliedAdapter, parameters: ReadonlyMap<string, Tensor>): Map<string, Tensor> => {
  const matrices = new Set(
    [...model.body.modules()].flatMap(([, module]) => (module instanceof Linear ? [module.weight] : [])),
  )
  return new Map([...parameters].filter(([, tensor]) => matrices.has(tensor)))
}

/** @throws ConfigError where mixout would have no effect, or cannot be computed */
const createMixout = (
  { mixout: share, seed, shard, variant, randomInit }: Settings,
  applied: AppliedAdapter,
  parameters: ReadonlyMap<string, Tensor>,
): Mixout | undefined => {
  if (share === undefined) return undefined
  if (randomInit) throw new ConfigError('`mixout` needs pretrained weights to return to, got `randomInit`. Remove one.')
  if (shard !== 'none') throw new ConfigError('`mixout` needs all gradients on each process: set `shard` to none.')
  const matrices = trainedMatrices(applied, parameters)
  if (matrices.size === 0)
    throw new ConfigError(
      `\`mixout\` has no effect with the variant ${variant}, which trains no matrix of the base: remove it, or choose full or last-n-layers.`,
    )
  return new Mixout(matrices, { share, seed })
}

/** What is trained, with the regularisation of a recipe. @throws ConfigError for settings without effect */
export const regularized = <Example>(
  recipe: Settings,
  applied: AppliedAdapter,
  trainable: TrainableModel<Example>,
): TrainableModel<Example> => {
  const { neftuneAlpha, fgmEpsilon } = recipe
  if (neftuneAlpha !== undefined) addEmbeddingNoise(applied.model, neftuneAlpha)
  if (fgmEpsilon !== undefined && trainable.objective.comparesExamples)
    throw new ConfigError(
      '`fgmEpsilon` needs a loss of single examples, and that of this task compares the texts of a batch with each other. Remove it.',
    )
  const mixout = createMixout(recipe, applied, trainable.parameters)
  return {
    ...trainable,
    ...(fgmEpsilon === undefined ? {} : { adversary: new EmbeddingAdversary(applied.model, fgmEpsilon) }),
    ...(mixout && { mixout }),
  }
}
