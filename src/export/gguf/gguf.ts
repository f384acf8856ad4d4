// The target `gguf`: one file for llama.cpp and what is built on it. Names and permuted rows come from the table that GGUF
// files are read by, so both directions agree.

import { join } from 'node:path'
import { z } from 'zod'
import {
  hfKeysOf,
  llama3Divisors,
  loadModelWithReport,
  loadTokenizer,
  ropeFactorNames,
} from '../../checkpoint/index.ts'
import { ConfigError, exists } from '../../core/index.ts'
import { RotaryTable } from '../../nn/index.ts'
import { renderChatFor } from '../../tokenizers/index.ts'
import type { ExportSource, ExportTarget, ProofContext, ProofRow } from '../export-target.ts'
import { compareRunner, freeModel } from '../proof/compare-models.ts'
import { compareScores } from '../proof/compare-scores.ts'
import { compareTemplates, compareTokenizers } from '../proof/compare-tokenizers.ts'
import { compareWeights } from '../proof/differences.ts'
import { proveInLlamaCpp } from '../proof/llama-cpp.ts'
import { runModel } from '../proof/runner.ts'
import {
  architectureOf,
  architectures,
  headDimOf,
  rotaryDimOf,
  type Settings,
  settingsOf,
  unknownToLlamaCpp,
} from './architectures.ts'
import { count, float, type GgufEntry, type GgufField, text, writeGgufFile } from './gguf-file.ts'
import { entryOf, isTied, namesOf, stateOf } from './gguf-tensors.ts'
import { importanceFields, importanceOf, writeImportance } from './importance.ts'
import { isQuantised, mixes, quantizers, typeOf } from './mixes.ts'
import { tokenizerFields } from './tokenizer-fields.ts'

type Scaling = Settings['ropeScaling']

const published = { lowFreqFactor: 1, highFreqFactor: 4, originalPositions: 8192 } as const
const numbers = z.looseObject({ factor: z.number(), originalPositions: z.number().optional() })
const yarn = numbers.extend({
  kind: z.literal('yarn'),
  originalPositions: z.number(),
  betaFast: z.number(),
  betaSlow: z.number(),
  attentionFactor: z.number().optional(),
  mscale: z.number().optional(),
  mscaleAllDim: z.number().optional(),
  truncate: z.boolean().optional(),
})
const longrope = numbers.extend({
  kind: z.literal('longrope'),
  shortFactor: z.array(z.number()),
  longFactor: z.array(z.number()),
  originalPositions: z.number(),
  attentionFactor: z.number().optional(),
})

const scalings: Record<string, (arch: string, scaling: Scaling, settings: Settings) => [string, GgufField][]> = {
  default: () => [],
  llama3: (_, scaling) => {
    const other = Object.entries(published).find(([name, value]) => scaling[name] !== value)
    if (other !== undefined)
      throw new ConfigError(
        `Expected ${other[1]} for \`${other[0]}\` of Llama 3's RoPE for \`gguf\`, got ${String(scaling[other[0]])}. Export to merged instead.`,
      )
    return []
  },
  linear: (arch, scaling) => [
    [`${arch}.rope.scaling.type`, text('linear')],
    [`${arch}.rope.scaling.factor`, float(numbers.parse(scaling).factor)],
  ],
  yarn: (arch, scaling, settings) => {
    const { factor, originalPositions, betaFast, betaSlow, ...others } = yarn.parse(scaling)
    if (others.truncate === false)
      throw new ConfigError(
        'Expected YaRN with `truncate` for `gguf`, got false: llama.cpp rounds the bounds of the ramp. Export to merged instead.',
      )
    // llama.cpp multiplies the published factor of cosines and sines with this one.
    const published = { kind: 'yarn', factor, originalPositions, betaFast, betaSlow }
    const change = magnitudeOf(settings, scaling) / magnitudeOf(settings, published)
    return [
      ...(change === 1 ? [] : [[`${arch}.rope.scaling.attn_factor`, float(change)] as [string, GgufField]]),
      [`${arch}.rope.scaling.type`, text('yarn')],
      [`${arch}.rope.scaling.factor`, float(factor)],
      [`${arch}.rope.scaling.original_context_length`, count(originalPositions)],
      [`${arch}.rope.scaling.yarn_beta_fast`, float(betaFast)],
      [`${arch}.rope.scaling.yarn_beta_slow`, float(betaSlow)],
    ]
  },
  longrope: (arch, scaling, settings) => {
    const { originalPositions } = longrope.parse(scaling)
    return [
      [`${arch}.rope.scaling.attn_factor`, float(magnitudeOf(settings, scaling))],
      [`${arch}.rope.scaling.original_context_length`, count(originalPositions)],
    ]
  },
}

/** Factor of cosines and sines. */
const magnitudeOf = (settings: Settings, scaling: Scaling): number => {
  const known = z.discriminatedUnion('kind', [yarn, longrope]).parse(scaling)
  const table = new RotaryTable({ rotaryDim: rotaryDimOf(settings), theta: settings.ropeTheta, scaling: known })
  return table.frequencies(1).magnitude
}

const [llama3Name, shortName, longName] = ropeFactorNames

/** Rules whose divisors are tensors of the file, by their names. */
const divisors: Record<string, (scaling: Scaling, settings: Settings) => [string, readonly number[]][]> = {
  llama3: (scaling, settings) => [
    [llama3Name, llama3Divisors(numbers.parse(scaling).factor, settings.ropeTheta, rotaryDimOf(settings))],
  ],
  longrope: (scaling) => {
    const { shortFactor, longFactor } = longrope.parse(scaling)
    return [
      [longName, longFactor],
      [shortName, shortFactor],
    ]
  },
}

/**
 * Metadata of the rotary positions.
 * @param computed scalings that llama.cpp computes for the architecture
 * @throws ConfigError for others, and for settings that GGUF cannot express
 */
const ropeFields = (arch: string, settings: Settings, computed: readonly string[]): [string, GgufField][] => {
  const { ropeScaling, ropeTheta } = settings
  if (!computed.includes(ropeScaling.kind))
    throw new ConfigError(
      `Expected RoPE scaling of ${computed.join(', ')} for \`gguf\`, got ${ropeScaling.kind}. Export to merged instead.`,
    )
  return [[`${arch}.rope.freq_base`, float(ropeTheta)], ...scalings[ropeScaling.kind](arch, ropeScaling, settings)]
}

/** Divisors of the frequencies by the names of their tensors; none for most kinds of scaling. */
const ropeFactors = (settings: Settings): Map<string, Float32Array> =>
  new Map(
    divisors[settings.ropeScaling.kind]?.(settings.ropeScaling, settings).map(([name, values]) => [
      name,
      Float32Array.from(values),
    ]),
  )

/** @throws ConfigError for what llama.cpp does not compute. @param target format that the message names */
export const checkGguf = (source: ExportSource, target: string): void => {
  const refuse = (what: string, instead: string): never => {
    throw new ConfigError(
      `Expected ${what} for \`${target}\`, got ${instead} in ${source.given}. Export to merged instead.`,
    )
  }
  const { definition, headType } = source.model
  if (!Object.hasOwn(architectures, definition.type)) {
    const why = unknownToLlamaCpp[definition.type]
    refuse(
      `one of ${Object.keys(architectures).join(', ')}`,
      `${definition.type}${why === undefined ? '' : ` (${why})`}`,
    )
  }
  const { head = 'causal-lm' } = architectureOf(source.model)
  if (headType !== head) refuse(`the head ${head} with ${definition.type}`, `the head ${headType}`)
  const settings = settingsOf(source.model)
  const { activation, slidingWindow = 0, useSlidingWindow = true, maxPositions } = settings
  const architecture = architectureOf(source.model)
  const { activation: own } = architecture
  const computed = typeof own === 'string' ? own : own(settings)
  if (activation !== computed) refuse(`the activation ${computed}`, activation)
  const lacking = architecture.refuse?.(settings)
  if (lacking !== undefined) refuse(...lacking)
  if (!settings.scaleAttention || settings.scaleAttentionByLayer)
    refuse('attention scores divided by the root of the head size', 'another scale')
  if (architecture.output === 'tied' && !isTied(source.model))
    refuse('one matrix for tokens and output', 'an output matrix of its own')
  if (!architecture.slides && slidingWindow > 0 && useSlidingWindow && slidingWindow < maxPositions)
    refuse(`attention to all of ${maxPositions} tokens`, `a sliding window of ${slidingWindow}`)
  if (architecture.rope !== undefined) ropeFields('', settings, architecture.rope)
  tokenizerFields(source, settings.vocabSize)
}

const sampling = ({ generation }: ExportSource): [string, GgufField][] => {
  if (generation.sample !== true) return []
  const { temperature, topK, topP, minP, repetitionPenalty } = generation
  return [
    ...(topK === undefined ? [] : [['top_k', { type: 'int32', value: topK }] as [string, GgufField]]),
    ...Object.entries({ top_p: topP, min_p: minP, temp: temperature, penalty_repeat: repetitionPenalty }).flatMap(
      ([key, value]): [string, GgufField][] => (value === undefined ? [] : [[key, float(value)]]),
    ),
  ].map(([key, field]) => [`general.sampling.${key}`, field])
}

/** Tokens that llama.cpp needs in a model whose name says that it is a Phi 3. */
const phi3Tokens = ['</s>', '<unk>', '<s>', '<|endoftext|>']

/** `general.name`: llama.cpp opens no file whose name has "phi3" or "phi-3" and whose tokenizer is not that of Phi 3. */
const nameOf = ({ name, tokenizer }: ExportSource): string =>
  phi3Tokens.every((token) => tokenizer.tokenToId(token) !== undefined) ? name : name.replace(/(phi)-?(?=3)/gi, '$1 ')

/** Whether a file type has quantised matrices that an importance matrix changes. */
const usesImportance = (variant: string): boolean => quantizers[mixes[variant].type]?.weighted ?? false

const metadataOf = (source: ExportSource, variant: string): Map<string, GgufField> => {
  const settings = settingsOf(source.model)
  const { name: arch, normKey, rope, fields } = architectureOf(source.model)
  const headDim = headDimOf(settings)
  const rotary =
    rope === undefined
      ? []
      : ([[`${arch}.rope.dimension_count`, count(rotaryDimOf(settings))], ...ropeFields(arch, settings, rope)] as const)
  return new Map<string, GgufField>([
    ['general.architecture', text(arch)],
    ['general.type', text('model')],
    ['general.name', text(nameOf(source))],
    ['general.file_type', count(mixes[variant].code)],
    ['general.quantization_version', count(2)],
    ...sampling(source),
    [`${arch}.context_length`, count(settings.maxPositions)],
    [`${arch}.embedding_length`, count(settings.hiddenSize)],
    [`${arch}.block_count`, count(settings.numLayers)],
    [`${arch}.feed_forward_length`, count(settings.intermediateSize)],
    [`${arch}.vocab_size`, count(settings.vocabSize)],
    [`${arch}.attention.head_count`, count(settings.numHeads)],
    [`${arch}.attention.head_count_kv`, count(settings.numKvHeads ?? settings.numHeads)],
    [`${arch}.attention.key_length`, count(headDim)],
    [`${arch}.attention.value_length`, count(headDim)],
    [`${arch}.${normKey}`, float(settings.normEps)],
    ...rotary,
    ...(fields?.(source.model, settings) ?? []),
    ...tokenizerFields(source, settings.vocabSize),
    ...(source.importance === undefined || !usesImportance(variant) ? [] : importanceFields(source.importance)),
  ])
}

/** Tensors in the order of the table, and the factors of RoPE. */
const entriesOf = (source: ExportSource, variant: string): GgufEntry[] => {
  const settings = settingsOf(source.model)
  const state = stateOf(source.model)
  const names = namesOf(source.model)
  const { numHeads, numKvHeads = numHeads, numLayers: layers, numExperts: experts } = settings
  const { importance } = source
  const facts = {
    layers,
    tied: !state.has(names.get('output.weight')?.theirs ?? ''),
    groups: numHeads / numKvHeads,
    weighted: importance !== undefined,
    experts,
  }
  const entries = [...names].flatMap(([name, entry]) => {
    const stored = hfKeysOf(entry).flatMap((key) => {
      const tensor = state.get(key)?.detach()
      state.delete(key)
      if (tensor === undefined) return []
      return [entry.transposed && tensor.ndim === 2 ? tensor.t() : tensor]
    })
    if (stored.length === 0) return []
    const weights = importance === undefined ? undefined : importanceOf(importance, name)
    return [entryOf(name, stored, typeOf(mixes[variant], name, stored[0].shape, facts), entry, weights)]
  })
  if (state.size > 0)
    throw new ConfigError(
      `Expected a name in GGUF for every tensor, but ${[...state.keys()].slice(0, 5).join(', ')} has none. Export to merged instead.`,
    )
  if (architectureOf(source.model).rope === undefined) return entries
  const factors = [...ropeFactors(settings)].map(([name, values]): GgufEntry => {
    const part = new Uint8Array(values.buffer)
    return { name, shape: [values.length], code: 0, bytes: part.length, parts: [part] }
  })
  return [...entries, ...factors]
}

export const ggufFileName = ({ name }: ExportSource, variant: string): string => `${name}-${variant.toUpperCase()}.gguf`

/** Writes the model as it is now to a new file. */
export const writeModelFile = (source: ExportSource, variant: string, path: string, signal?: AbortSignal) =>
  writeGgufFile(path, metadataOf(source, variant), entriesOf(source, variant), signal)

const prove = async (
  source: ExportSource,
  variant: string,
  folder: string,
  { texts, validation, note }: ProofContext,
): Promise<ProofRow[]> => {
  const path = join(folder, ggufFileName(source, variant))
  const { limits } = mixes[variant]
  const comparison = {
    target: `gguf:${variant}`,
    consumer: 'tunesmith',
    limit: limits.logits,
    klLimit: limits.kl,
    repeatLimit: 1e-4,
  }
  const { headType, headOptions } = source.model
  const { model } = await loadModelWithReport(path, { head: headType, headOptions, dtype: 'float32', device: 'cpu' })
  const tokenizer = await loadTokenizer(path)
  const runner = runModel(model.eval(), tokenizer.special.pad?.id)
  const exact = !Object.hasOwn(quantizers, mixes[variant].type)
  try {
    const rows = [
      compareWeights(source.model, model, comparison, limits.weights),
      ...(await compareRunner(source, runner, texts, comparison)),
      ...(await compareScores(source, validation, model, { ...comparison, exact })),
      compareTokenizers(source, tokenizer, texts, comparison),
      ...(await compareTemplates(
        source,
        (messages) => renderChatFor(tokenizer, messages, { addGenerationPrompt: true }),
        comparison,
      )),
    ]
    const opened = { target: comparison.target, reference: runner, note }
    const inConsumer = await proveInLlamaCpp(source, async () => ({ model: path }), texts, opened, limits.llamaCpp)
    return [...rows, ...inConsumer]
  } finally {
    freeModel(model)
  }
}

export const gguf: ExportTarget = {
  type: 'gguf',
  description: 'one file for llama.cpp, Ollama and LM Studio, in a quantised type',
  variants: Object.keys(mixes),
  defaultVariant: 'q8_0',
  pipelineLibrary: 'gguf',
  folder: 'gguf',
  sharesFolder: true,
  comparesScores: true,
  quantises: (variant) => isQuantised(mixes[variant]),
  usesImportance,
  check: (source) => checkGguf(source, 'gguf'),
  write: async (source, variant, folder, { onProgress, onHash, signal }) => {
    onProgress?.(`Writing ${ggufFileName(source, variant)}`)
    const file = join(folder, ggufFileName(source, variant))
    const hash = await writeModelFile(source, variant, file, signal)
    onHash?.(file, hash)
    if (source.importance === undefined || !usesImportance(variant)) return
    const path = join(folder, `${source.name}-imatrix.gguf`)
    // Once for all types in the folder.
    if (!(await exists(path))) await writeImportance(source.importance, path, signal)
  },
  prove,
}
