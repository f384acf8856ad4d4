// The critic of a run: made by the recipe, and stored in checkpoints beside the policy.
import { join } from 'node:path'
import type { AdapterInput, AppliedAdapter } from '../../../adapters/index.ts'
import { type CreatedCritic, createCritic } from '../../../alignment/index.ts'
import { loadWeightsInto, openSafetensors, saveModel, saveSafetensors } from '../../../checkpoint/index.ts'
import { CheckpointError, ConfigError } from '../../../core/index.ts'
import { compareState, describeReport } from '../../../nn/index.ts'
import { noGrad, type Tensor } from '../../../tensor/index.ts'
import { checkpointFiles } from '../../../tracking/index.ts'
import { adapterWeights } from '../../engine/open-base.ts'
import type { BuiltRun } from '../../engine/run-kind.ts'
import type { AlignRecipe } from '../recipe.ts'

/** Makes the critic of a recipe. @throws ConfigError for an adapter on a base that is trained itself */
export const openCritic = (
  { variant, adapter, seed }: AlignRecipe,
  applied: AppliedAdapter,
  kind: 'head' | 'adapter' = applied.inPlace ? 'head' : 'adapter',
): CreatedCritic => {
  if (kind === 'head') return createCritic(applied.model, { seed })
  if (applied.inPlace)
    throw new ConfigError(
      `Expected head for \`settings.critic\` with the variant ${variant}, which trains the base itself, got adapter. Choose a variant beside the base, such as lora.`,
    )
  return createCritic(applied.model, {
    adapter: { ...adapter, type: variant } as AdapterInput,
    // Another seed than that of the policy.
    seed: seed + 1,
  })
}

const copyInto = (own: ReadonlyMap<string, Tensor>, stored: ReadonlyMap<string, Tensor>): void => {
  const report = compareState(own, stored)
  if (report.missing.length + report.unexpected.length + report.mismatched.length > 0)
    throw new CheckpointError(describeReport(report), report)
  noGrad(() => {
    for (const [path, tensor] of own) tensor.detach().copy_(stored.get(path) as Tensor)
  })
}

/** Checkpoints store the policy as without a critic, and the critic's tensors beside it. */
export const weightsWithCritic = (
  applied: AppliedAdapter,
  critic: CreatedCritic,
  tokenizer: string | undefined,
): NonNullable<BuiltRun['weights']> => {
  const policy = applied.inPlace
    ? {
        save: async (folder: string) => saveModel(applied.model, folder, { tokenizer }),
        load: async (folder: string) => loadWeightsInto(applied.model, folder),
      }
    : adapterWeights(applied)
  return {
    save: async (folder) => {
      await policy.save(folder)
      await saveSafetensors(join(folder, checkpointFiles.critic), critic.trainable)
    },
    load: async (folder) => {
      await policy.load(folder)
      const { tensors, tensor } = await openSafetensors(join(folder, checkpointFiles.critic))
      copyInto(critic.trainable, new Map([...tensors.keys()].map((name) => [name, tensor(name)])))
    },
  }
}
