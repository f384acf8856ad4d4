// Opens the small models of make-generation.py with what transformers made of them.
import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { fromHfKeys, openSafetensors } from '../../../src/checkpoint/index.ts'
import type { GenerationOptions } from '../../../src/generation/index.ts'
import {
  buildModel,
  type LanguageHead,
  type Model,
  type ModelDefinition,
  modelKeys,
  models,
} from '../../../src/models/index.ts'
import { testDevice } from '../../device.ts'

const golden = join(dirname(fileURLToPath(import.meta.url)), 'golden')

export const goldenNames = [
  'bart',
  'gemma2',
  'gemma3',
  'gpt-neox',
  'gpt2',
  'llama',
  'mbart',
  'mistral',
  'mixtral',
  'olmo2',
  'phi3',
  'qwen3',
  'qwen3-moe',
  'smollm3',
  't5',
] as const

export interface Golden {
  config: Record<string, unknown>
  prompts: number[][]
  runs: { options: GenerationOptions; texts: number[][][]; scores: (number[] | null)[] }[]
  /** Scores of the first new token before and after the rules; null where a token is out. */
  processed: { options: GenerationOptions; logits: number[]; scores: (number | null)[] }[]
}

export const openGolden = async (
  name: string,
): Promise<{ golden: Golden; model: Model<LanguageHead>; encoder: boolean; start: number | undefined }> => {
  const content = JSON.parse(readFileSync(join(golden, `${name}.json`), 'utf8')) as Golden
  const definition = Object.values(models as object as Record<string, ModelDefinition>).find(
    ({ type, hfType = type }) => hfType === content.config.model_type,
  ) as ModelDefinition
  const config = definition.fromHf(content.config) as never
  const encoder = content.config.is_encoder_decoder === true
  const head = encoder ? 'seq2seq-lm' : 'causal-lm'
  const model = buildModel(definition as never, config, head) as Model<LanguageHead>
  const file = await openSafetensors(join(golden, `${name}.safetensors`))
  const lookups = new Map([...file.tensors.keys()].map((key) => [key, () => file.tensor(key)]))
  const { state, unknown } = fromHfKeys(lookups, modelKeys(definition as never, config, head), model.facts.numLayers)
  if (unknown.length > 0) throw new Error(`unknown keys ${unknown.join(', ')}`)
  model.loadState(state, { copy: true })
  model.to({ device: testDevice })
  const start = encoder ? (content.config.decoder_start_token_id as number) : undefined
  return { golden: content, model, encoder, start }
}
