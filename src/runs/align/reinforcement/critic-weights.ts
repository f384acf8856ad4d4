// The critic of a run: made by the recipe, stored in checkpoints beside the policy, and exported as a reward model.
import { join, resolve } from 'node:path'
import {
  type AdapterInput,
  AppliedAdapter,
  baseOfAdapter,
  isAdapterFolder,
  loadAdapter,
  saveAdapter,
} from '../../../adapters/index.ts'
import { type CreatedCritic, createCritic, criticOfAdapter, isOnBase, putOnBase } from '../../../alignment/index.ts'
import {
  loadModel,
  loadTokenizer,
  loadWeightsInto,
  openSafetensors,
  resolveModel,
  saveModel,
  saveSafetensors,
} from '../../../checkpoint/index.ts'
import { ConfigError, exists } from '../../../core/index.ts'
import type { Model } from '../../../models/index.ts'
import { restoreState } from '../../../nn/index.ts'
import type { Tokenizer } from '../../../tokenizers/index.ts'
import { checkpointFiles } from '../../../tracking/index.ts'
import type { BuiltRun } from '../../engine/run-kind.ts'
import type { AlignRecipe } from '../recipe.ts'

/** Folder of the critic in that of the finished model. */
export const criticFolder = 'critic'

export interface CriticSettings {
  critic?: 'head' | 'adapter'
  criticFrom?: string
}

export interface OpenedCritic extends CreatedCritic {
  /** One sentence for people. */
  summary: string
  /** Writes it as a reward model; undefined for a head on the policy, which is nothing without the policy. */
  export?(folder: string): Promise<void>
}

interface CriticParts extends CriticSettings {
  applied: AppliedAdapter
  /** Folder of the policy's base. */
  base: string
  tokenizer: Tokenizer
}

/** Makes the critic of a recipe. @throws ConfigError for settings that do not fit each other, CheckpointError for files that do not */
export const openCritic = async (recipe: AlignRecipe, parts: CriticParts): Promise<OpenedCritic> => {
  const { variant, adapter, seed } = recipe
  const { applied, base, critic, criticFrom } = parts
  const kind = critic ?? (applied.inPlace ? 'head' : 'adapter')
  if (criticFrom !== undefined) return criticOfRewardModel(recipe, criticFrom, parts)
  if (kind === 'head')
    return {
      ...createCritic(applied.model, { seed }),
      summary: 'Critic: a head on the hidden states of the policy.',
    }
  if (applied.inPlace)
    throw new ConfigError(
      `Expected head for \`settings.critic\` with the variant ${variant}, which trains the base itself, got adapter. Choose a variant beside the base, such as lora.`,
    )
  const input = { ...adapter, type: variant } as AdapterInput
  // Another seed than that of the policy.
  const created = createCritic(applied.model, { adapter: input, seed: seed + 1 })
  return {
    ...created,
    summary: 'Critic: an adapter of its own on the frozen base.',
    export: (folder) => exportAdapterCritic(created, applied, base, folder),
  }
}

const exportAdapterCritic = ({ adapter }: CreatedCritic, { bank }: AppliedAdapter, base: string, folder: string) =>
  saveAdapter(new AppliedAdapter(bank, adapter as string), folder, { base: resolve(base) })

/** A critic that begins as a reward model: on the base of the policy where it is an adapter of it, else as a model of its own. */
const criticOfRewardModel = async (
  { device }: AlignRecipe,
  source: string,
  { applied, base, critic, tokenizer }: CriticParts,
): Promise<OpenedCritic> => {
  if (critic === 'head')
    throw new ConfigError(
      'Expected no `settings.critic` head with `settings.criticFrom`, which gives the critic weights of its own. Remove one of them.',
    )
  const folder = await resolveModel(source)
  const shared = { model: applied.model, folder: base }
  const isAdapter = await isAdapterFolder(folder)
  if (!applied.inPlace && isAdapter && (await isOnBase(folder, shared))) {
    const { name } = await putOnBase(folder, applied.model, 'critic')
    const created = criticOfAdapter(applied.model, name)
    return {
      ...created,
      summary: `Critic: an adapter of its own on the frozen base, which begins as ${source}.`,
      export: (target) => exportAdapterCritic(created, applied, base, target),
    }
  }
  if (critic === 'adapter')
    throw new ConfigError(
      `Expected an adapter on the base of the policy for \`settings.criticFrom\` with \`settings.critic\` adapter, got ${source}. Remove \`settings.critic\`.`,
    )
  const { model, applied: own } = await loadCriticModel(folder, {
    device,
    tokenizer,
    trainable: true,
    option: 'settings.criticFrom',
  })
  if (own === undefined) model.requireGrad(true)
  const trainable = own?.trainable ?? model.parameters()
  return {
    model,
    trainable: new Map([...trainable].map(([path, tensor]) => [`critic.${path}`, tensor])),
    summary: `Critic: a model of its own, which begins as ${source}.`,
    export: (target) =>
      own === undefined ? saveModel(model, target, { tokenizer: folder }) : saveAdapter(own, target),
  }
}

interface CriticModelOptions {
  device?: string
  /** Of the policy, whose token ids it reads. */
  tokenizer: Tokenizer
  trainable: boolean
  /** Option that names the folder, for errors. */
  option: string
}

/**
 * Loads a reward model, or an adapter of one, as a critic that shares nothing with the policy.
 * @throws ConfigError for a reward model with another tokenizer than the policy's
 */
export const loadCriticModel = async (
  folder: string,
  { device, tokenizer, trainable, option }: CriticModelOptions,
): Promise<{ model: Model; applied?: AppliedAdapter }> => {
  const isAdapter = await isAdapterFolder(folder)
  await expectSameVocabulary(tokenizer, folder, isAdapter, option)
  const loaded = isAdapter
    ? await loadAdapter(folder, { device, head: 'reward', trainable })
    : { model: await loadModel(folder, { device, head: 'reward' }) }
  loaded.model.eval()
  return loaded
}

/** @throws ConfigError for a reward model whose token ids are not those of the policy */
const expectSameVocabulary = async (
  policy: Tokenizer,
  folder: string,
  isAdapter: boolean,
  option: string,
): Promise<void> => {
  const ownFiles = !isAdapter || (await exists(join(folder, 'tokenizer.json')))
  const own = await loadTokenizer(ownFiles ? folder : await baseOfAdapter(folder))
  for (let id = 0; id <= Math.max(policy.maxId, own.maxId); id++)
    if (policy.idToToken(id) !== own.idToToken(id))
      throw new ConfigError(
        `Expected a reward model with the tokenizer of the policy for \`${option}\`, got another one in ${folder}: their tokens ${id} differ. Use it as a reward, or fine-tune one on the base of the policy.`,
      )
}

/** Checkpoints store the policy as without a critic, and the critic's tensors beside it. */
export const weightsWithCritic = (
  applied: AppliedAdapter,
  critic: CreatedCritic,
  tokenizer: string | undefined,
  { weights, addModelFiles }: Pick<BuiltRun, 'weights' | 'addModelFiles'>,
): NonNullable<BuiltRun['weights']> => {
  const policy = weights ?? {
    save: async (folder: string) => saveModel(applied.model, folder, { tokenizer, addFiles: addModelFiles }),
    load: async (folder: string) => loadWeightsInto(applied.model, folder),
  }
  return {
    storesFrozen: weights === undefined || weights.storesFrozen === true,
    save: async (folder) => {
      await policy.save(folder)
      await saveSafetensors(join(folder, checkpointFiles.critic), critic.trainable)
    },
    load: async (folder) => {
      await policy.load(folder)
      const { tensors, tensor } = await openSafetensors(join(folder, checkpointFiles.critic))
      restoreState(critic.trainable, new Map([...tensors.keys()].map((name) => [name, tensor(name)])))
    },
  }
}
