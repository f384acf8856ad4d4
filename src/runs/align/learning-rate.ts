// The default learning rate of an alignment run: that of its objective, and more for adapters.
import type { AlignObjective } from './objectives.ts'
import type { AlignRecipe } from './recipe.ts'

/**
 * How much more adapters take than whole models. TRL's guide to PEFT has ten times as much for every trainer: 5e-6 with LoRA where DPO of
 * the whole model has 5e-7, and 1e-5 where it has its default of 1e-6; the guide to GRPO the same. The optimum does not depend on the rank.
 * @source TRL 1.16, docs/source/peft_integration.md and dpo_trainer.md; Schulman et al. 2025, LoRA Without Regret
 */
const adapterLearningRate = 10

/** The learning rate of a run. @param inPlace whether the variant trains the weights of the base itself */
export const learningRateOf = (
  { learningRate }: Pick<AlignRecipe, 'learningRate'>,
  objective: Pick<AlignObjective, 'learningRate'>,
  inPlace: boolean,
): number => learningRate ?? objective.learningRate * (inPlace ? 1 : adapterLearningRate)
