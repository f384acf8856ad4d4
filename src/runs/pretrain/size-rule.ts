// Model size, learning rate, batch and budget by one number: the depth.
import { models } from '../../models/index.ts'
import type { PretrainRecipe } from './recipe.ts'

/** Settings that follow from a depth. */
export interface SizeRule {
  hiddenSize: number
  numHeads: number
  learningRate: number
  /** Tokens per step. */
  batchTokens: number
  /** Tokens of the whole run. */
  budgetTokens: number
}

/**
 * The settings for a depth. Width: 64 per layer, in heads of 64. Tokens: 20 for every parameter of the layers (Chinchilla). Learning
 * rate: 6e-4 at a width of 768, inversely proportional to the width, at most 3e-3 (GPT-3's table). Batch: a two-thousandth of the
 * tokens, to the nearest power of two between 4,096 and 524,288.
 * @source arXiv:2203.15556 (tokens), arXiv:2005.14165 table 2.1 (learning rates, batches)
 */
export const sizeRule = (depth: number): SizeRule => {
  const hiddenSize = 64 * depth
  const budgetTokens = 20 * 12 * depth * hiddenSize ** 2
  const power = 2 ** Math.round(Math.log2(budgetTokens / 2000))
  return {
    hiddenSize,
    numHeads: depth,
    learningRate: Math.min(3e-3, (6e-4 * 768) / hiddenSize),
    batchTokens: Math.min(524_288, Math.max(4096, power)),
    budgetTokens,
  }
}

/**
 * Sizes of the heads, where the architecture has settings for them: their defaults belong to its published widths. All
 * heads have keys and values of their own.
 */
const headSizes = ({ type, preset = '' }: PretrainRecipe['model'], { hiddenSize, numHeads }: SizeRule): object => {
  if (type === undefined) return {}
  const { adjust, presets } = models[type]
  const sizes = { numKvHeads: numHeads, headDim: hiddenSize / numHeads }
  const known = adjust(presets[preset] ?? {}, {})
  return Object.fromEntries(Object.entries(sizes).filter(([name]) => name in known))
}

const isEmpty = (fields: object) => Object.values(fields).every((value) => value === undefined)

/** The recipe with the settings of its depth, where it does not set them itself. */
export const applyDepth = (recipe: PretrainRecipe): PretrainRecipe => {
  const { depth } = recipe.model
  if (depth === undefined) return recipe
  const rule = sizeRule(depth)
  const { sequences, tokens } = recipe.batch
  return {
    ...recipe,
    model: {
      ...recipe.model,
      config: {
        numLayers: depth,
        hiddenSize: rule.hiddenSize,
        numHeads: rule.numHeads,
        intermediateSize: 4 * rule.hiddenSize,
        ...headSizes(recipe.model, rule),
        ...recipe.model.config,
      },
    },
    learningRate: recipe.learningRate ?? rule.learningRate,
    batch: {
      ...recipe.batch,
      ...(sequences === undefined && tokens === undefined ? { tokens: rule.batchTokens } : {}),
    },
    budget: isEmpty(recipe.budget) ? { tokens: rule.budgetTokens } : recipe.budget,
  }
}
