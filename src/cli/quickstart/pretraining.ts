// The quickstart's base: a small BERT learns from the shards, and is measured before and after. Started again, it goes
// on where it stopped. Knows nothing of how the shards were made.
import { join } from 'node:path'
import { loadModelWithReport, loadTokenizer } from '../../checkpoint/index.ts'
import { parseConfig } from '../../core/index.ts'
import { openTokens } from '../../data/index.ts'
import { type FilledText, fillMask } from '../../inference/index.ts'
import type { Model } from '../../models/index.ts'
import { buildRun, type PretrainInput, pretrainSchema, runFiles } from '../../runs/index.ts'
import { evaluateLanguageModelling } from '../../tasks/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { readHistory, renderCurves } from '../../tracking/index.ts'
import type { CommandContext } from '../command.ts'
import { displayRun } from '../parts/run-display.ts'
import { runToEnd } from './run.ts'

const stepsPerMinute = 650

/**
 * Two layers of 128: small enough to see a few million tokens in as many minutes on two cores. A base this young helps specialists
 * only if its weights are still as able as random ones: scores of words that begin at the words' frequencies leave the embeddings to
 * meaning, and rows as short as the texts of the tasks teach what is near, after an opening token, as the tasks read.
 */
const recipeFor = ({ shards, tokenizer, out, minutes }: PretrainingPlan): PretrainInput => ({
  model: {
    type: 'bert',
    config: {
      numLayers: 2,
      hiddenSize: 128,
      numHeads: 4,
      intermediateSize: 512,
      maxPositions: 128,
      // Text this small is seen a few times only: nothing is learnt by heart, and dropout would only slow learning down.
      hiddenDropout: 0,
      attentionDropout: 0,
    },
  },
  outputBias: 'frequencies',
  objective: { type: 'masked-lm', maskShare: 0.3 },
  data: shards,
  tokenizer,
  out,
  maxLength: 32,
  batch: { sequences: 32 },
  // As many steps as two quiet cores do in less time, so that a run can be repeated; and that time for others.
  budget: { steps: Math.ceil(stepsPerMinute * minutes), minutes },
  learningRate: 3e-3,
  schedule: { type: 'linear', warmupShare: 0.1 },
  evaluate: { steps: Math.ceil((stepsPerMinute * minutes) / 8) },
  validationExamples: 512,
  checkpoint: { minutes: 1 },
})

export interface PretrainingPlan {
  shards: string
  tokenizer: string
  out: string
  minutes: number
}

interface Knowledge {
  perplexity: number
  accuracy: number
}

export interface PretrainingResult {
  /** The folder that transformers opens. */
  model: string
  steps: number
  tokens: number
  /** Of training, over all starts. */
  seconds: number
  before: Knowledge
  after: Knowledge
  curve: string
  examples: FilledText[]
}

const sentences = [
  'He opened the [MASK] and looked into the room.',
  'The king of the [MASK] was an old man.',
  'She said that she had [MASK] seen him before.',
  'It is one of the largest cities in the [MASK] States.',
]

// Masks for a few thousand words: enough to tell two models apart, in seconds.
const measuredTokens = 20_000

const measure = async (model: Model, tokenizer: Tokenizer, shards: string, signal: AbortSignal): Promise<Knowledge> => {
  const source = await openTokens(shards, 'validation')
  try {
    const { metrics } = await evaluateLanguageModelling(
      model,
      tokenizer,
      source,
      { maxTokens: measuredTokens, resamples: 10 },
      { signal },
    )
    return { perplexity: metrics.maskedPerplexity.value, accuracy: metrics.maskedAccuracy.value }
  } finally {
    source.close()
  }
}

/** The model as it is before the first step: the seed alone decides it. */
const measureFresh = async (input: PretrainInput, tokenizer: Tokenizer, shards: string, signal: AbortSignal) => {
  const run = await buildRun(parseConfig(pretrainSchema, input, 'quickstart'))
  try {
    return await measure(run.trainable.model, tokenizer, shards, signal)
  } finally {
    run.close()
  }
}

/** Trains, or goes on, to the end. @throws the signal's reason when interrupted */
const trainToEnd = async (input: PretrainInput, context: CommandContext): Promise<void> => {
  const display = displayRun(context, { label: 'pretraining' })
  try {
    const done = await runToEnd({ ...input, command: 'pretrain' }, display, context)
    if (done === undefined) context.log(`The model is in ${input.out} already.`)
  } finally {
    display.stop()
  }
}

const drawCurve = async (out: string): Promise<string> => {
  const { training, evaluations } = await readHistory(out)
  const series = Object.entries({ training: training.loss, 'held out': evaluations.loss }).flatMap(([name, column]) =>
    column === undefined ? [] : [{ name, x: column.steps, y: column.values }],
  )
  return renderCurves(series, { width: 78, height: 12, title: 'Loss over masked words', xLabel: 'step' })
}

export const pretrainQuickly = async (plan: PretrainingPlan, context: CommandContext): Promise<PretrainingResult> => {
  const { shards, out } = plan
  const input = recipeFor(plan)
  const tokenizer = await loadTokenizer(plan.tokenizer)
  const before = await measureFresh(input, tokenizer, shards, context.signal)
  await trainToEnd(input, context)
  const folder = join(out, runFiles.model)
  const opened = await loadModelWithReport(folder)
  const after = await measure(opened.model, tokenizer, shards, context.signal)
  const { tokens, lastStep, trainingSeconds } = await readHistory(out)
  return {
    model: folder,
    steps: lastStep,
    tokens,
    seconds: trainingSeconds,
    before,
    after,
    curve: await drawCurve(out),
    examples: sentences.map((text) => fillMask({ ...opened, tokenizer }, text, { topK: 3 })),
  }
}
