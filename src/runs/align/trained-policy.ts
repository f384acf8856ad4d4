// What both families of objectives do with the model that is trained: its learning rate, its dropout, and the files beside its weights.
import type { AppliedAdapter } from '../../adapters/index.ts'
import type { Criterion } from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { writeTextFiles } from '../finetune/specialist-files.ts'
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

/** The criterion with the model in evaluation mode during its loss. Gradients are computed all the same. */
export const withoutDropout = <Example>(criterion: Criterion<Example>): Criterion<Example> => {
  const { carried } = criterion
  return {
    unpadded: criterion.unpadded,
    tokens: (example) => criterion.tokens(example),
    weights: (example) => criterion.weights(example),
    ...(criterion.trainedTokens === undefined
      ? {}
      : { trainedTokens: (example) => criterion.trainedTokens?.(example) ?? 0 }),
    collate: (examples, how) => criterion.collate(examples, how),
    ...(criterion.prepare === undefined
      ? {}
      : {
          async prepare(examples, context) {
            // Whether prompts are shared depends on it too.
            if (context.model.training) context.model.eval()
            return (await criterion.prepare?.(examples, context)) ?? examples
          },
        }),
    get preparesWithModel() {
      return criterion.preparesWithModel
    },
    ...(carried === undefined ? {} : { carried }),
    loss(model, batch, how) {
      // Backward may recompute layers, so that the mode is not set back after the forward pass.
      if (model.training) model.eval()
      return criterion.loss(model, batch, how)
    },
    describe: (example, decode) => criterion.describe(example, decode),
    ...(criterion.show === undefined ? {} : { show: (example) => criterion.show?.(example) ?? [] }),
  }
}

interface PromptFiles {
  recipe: Pick<AlignRecipe, 'tokenizer'>
  applied: Pick<AppliedAdapter, 'inPlace'>
  tokenizer: Tokenizer
  /** Whether prompts are conversations, and the encoder with their template. */
  prompts: { usesTemplate: boolean; encoder: { template: string } }
}

export const writePromptFiles = async (
  folder: string,
  { recipe, applied, tokenizer, prompts: { usesTemplate, encoder } }: PromptFiles,
): Promise<void> =>
  writeTextFiles(folder, {
    tokenizer,
    template: usesTemplate ? encoder.template : undefined,
    own: !applied.inPlace && (usesTemplate || recipe.tokenizer !== undefined),
  })
