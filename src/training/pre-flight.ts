// The checks before the first step, so that a run that cannot learn ends before it costs anything. Independent of the objective.
import { ConfigError } from '../core/index.ts'
import type { Model } from '../models/index.ts'
import { Embedding } from '../nn/index.ts'
import type { VocabularyFacts } from '../objectives/index.ts'
import { type Optimizer, type ScheduleConfig, scheduleAt } from '../optim/index.ts'
import { deviceMemory, memoryStatistics, type Tensor, totalBytes } from '../tensor/index.ts'
import { type ExampleSource, takeBatch } from './example-stream.ts'
import { type TrainableModel, totalWeights } from './gradients.ts'

export interface PreFlightFacts<Example> {
  trainable: TrainableModel<Example>
  optimizer: Pick<Optimizer, 'stateBytes'>
  stream: ExampleSource<Example>
  batch: { sequences?: number; tokens?: number }
  microTokens: number
  vocabulary: VocabularyFacts
  vocabSize: number
  /** Planned optimizer steps, where a budget of steps, tokens or epochs decides them. */
  steps?: number
  /** Fewest steps that can teach this model anything; fewer are warned of. */
  enoughSteps?: number
  /** Learning rate at the peak of the schedule. */
  learningRate?: number
  schedule?: ScheduleConfig
  /** Documents of the validation split, where the data is split by document. */
  validationDocuments?: number
  decode(ids: readonly number[]): string
}

export interface PreFlight {
  /** The first example as text, with its trained tokens marked. */
  example: string
  tokensPerStep: number
  /** Share of tokens that are trained. */
  trainedShare: number
  /** Share of tokens that were truncated. */
  truncatedShare: number
  parameters: number
  /**
   * FLOPs of a token's matrix products, forward and backward: six for each trained parameter, four for each frozen one, whose own
   * gradient is not computed.
   */
  flopsPerToken: number
  /** Rows and columns of the matrix products. */
  products: { tokens: number; width: number }
  memory: { parameters: number; gradients: number; optimizer: number; activations: number; available: number }
  warnings: string[]
}

/** Parameters of a body that tokens are multiplied with: embedding tables are looked up. */
const multiplied = (body: Model['body']): Tensor[] => {
  const tables = new Set([...body.modules()].flatMap(([, part]) => (part instanceof Embedding ? [part.weight] : [])))
  return [...body.parameters().values()].filter((parameter) => !tables.has(parameter))
}

/** FLOPs of a token's matrix products with the weights of a body, forward: two for each parameter. */
export const forwardFlopsPerToken = (body: Model['body']): number =>
  2 * multiplied(body).reduce((sum, { size }) => sum + size, 0)

/** Embedding tables are looked up, not multiplied; the head computes the trained tokens only. */
const flopsPerToken = (
  { model, auxiliary, parameters }: Pick<TrainableModel, 'model' | 'auxiliary' | 'parameters'>,
  trainedShare: number,
): number => {
  const trained = new Set(parameters.values())
  const flopsOf = (parameter: Tensor) => (trained.has(parameter) ? 6 : 4) * parameter.size
  let perToken = 0
  for (const one of [model, auxiliary]) {
    if (one === undefined) continue
    for (const parameter of multiplied(one.body)) perToken += flopsOf(parameter)
    for (const parameter of one.head.parameters().values()) perToken += flopsOf(parameter) * trainedShare
  }
  return perToken
}

/** A warmup that does not end within the run, by which the learning rate never reaches its peak. */
const warmupWarnings = ({
  steps,
  learningRate,
  schedule,
}: Pick<PreFlightFacts<never>, 'steps' | 'learningRate' | 'schedule'>): string[] => {
  if (steps === undefined || learningRate === undefined || schedule === undefined) return []
  // A schedule of a package may have no warmup. A share of the steps always ends within the run.
  const { warmupSteps = 0 } = schedule as { warmupSteps?: number }
  if (warmupSteps < steps || warmupSteps === 0) return []
  const highest = learningRate * scheduleAt(schedule, { step: steps - 1, totalSteps: steps })
  const percent = Number(((100 * highest) / learningRate).toPrecision(2))
  return [
    `The learning-rate warmup has ${warmupSteps} ${warmupSteps === 1 ? 'step' : 'steps'}, the run ${steps}: the highest learning rate is ${Number(highest.toPrecision(3))}, ${percent} % of ${learningRate}. Set \`schedule.warmupSteps\` to fewer steps than the run has, or leave it out and set \`schedule.warmupShare\`, for instance to 0.1.`,
  ]
}

/** Warnings of a budget too small to learn from, and of a validation split too small to measure with. */
const planWarnings = ({
  steps,
  enoughSteps = 0,
  validationDocuments,
}: Pick<PreFlightFacts<never>, 'steps' | 'enoughSteps' | 'validationDocuments'>): string[] => {
  const warnings: string[] = []
  if (steps !== undefined && steps < enoughSteps)
    warnings.push(
      `The budget is ${steps} ${steps === 1 ? 'step' : 'steps'}: too few to learn from, as most of them are learning-rate warmup and decay. Set \`budget.steps\` to ${enoughSteps} or more.`,
    )
  if (validationDocuments === 0)
    warnings.push(
      'The validation split has no documents: no validation loss will show whether the model overfits. Encode with a larger `--validation` share, such as 0.1.',
    )
  else if (validationDocuments !== undefined && validationDocuments <= 2)
    warnings.push(
      `The validation split has ${validationDocuments} ${validationDocuments === 1 ? 'document' : 'documents'}: its loss measures ${validationDocuments === 1 ? 'that text' : 'those texts'}, not the language. Split the text into more documents, as \`corpus build --source books,document=chapter:FILE\` does; a larger \`--validation\` share helps where there are many.`,
    )
  return warnings
}

/** The first batch: an example as text, its tokens, and how many of them are trained. */
const firstBatch = <Example>({
  trainable: { objective },
  stream,
  batch,
  decode,
}: PreFlightFacts<Example>): { example: string; tokens: number; cut: number; trained: number } => {
  if (stream.online !== undefined) {
    // No example exists yet. Prompts are not trained: half of the tokens is the order of magnitude.
    const tokens = batch.tokens ?? (batch.sequences ?? 1) * stream.online.expectedTokens
    return { example: stream.online.describe(), tokens, cut: 0, trained: tokens / 2 }
  }
  const { examples, tokens, cut } = takeBatch(stream, objective.tokens, 0, batch)
  const largest = Math.max(...Object.values(totalWeights(objective, examples)))
  const counted = examples.reduce((sum, example) => sum + (objective.trainedTokens?.(example) ?? 0), 0)
  const trained = objective.trainedTokens === undefined ? largest : counted
  const first = examples.find((example) => Object.values(objective.weights(example)).some((weight) => weight > 0))
  return { example: first === undefined ? '' : objective.describe(first, decode), tokens, cut, trained }
}

/** Memory that tensors of a device may still take. */
const availableOn = (device: string): number => {
  const there = deviceMemory(device)
  const { limit, available } = memoryStatistics()
  return there === undefined ? (limit ?? available) : Math.min(there.limit ?? Infinity, there.free + there.cached)
}

/** Checks the first batch and estimates what a step takes. @throws ConfigError or DataError for a run that could not learn */
export const preFlight = <Example>(facts: PreFlightFacts<Example>): PreFlight => {
  const { trainable, vocabulary } = facts
  if (vocabulary.size > facts.vocabSize)
    throw new ConfigError(
      `Expected a model with a vocabulary of at least ${vocabulary.size}, as the tokenizer has, got ${facts.vocabSize}. Set \`vocabSize\` of the model.`,
    )
  if (trainable.parameters.size === 0)
    throw new ConfigError('A run needs parameters to train, and all of them are frozen: choose another variant.')
  const { example, tokens, cut, trained } = firstBatch(facts)
  const warnings = [...planWarnings(facts), ...warmupWarnings(facts)]
  const truncatedShare = cut / Math.max(1, tokens + cut)
  if (truncatedShare > 0.05)
    warnings.push(`${(100 * truncatedShare).toFixed(1)} % of the tokens are truncated and not trained on.`)
  if (vocabulary.eos === undefined && vocabulary.sep === undefined)
    warnings.push('The tokenizer has no end-of-text token: the model cannot learn where a text ends.')
  const all = [...trainable.parameters.values()]
  const size = all.reduce((sum, parameter) => sum + parameter.size, 0)
  const { hiddenSize, numLayers, vocabSize } = trainable.model.facts
  // About 16 vectors of the hidden size per layer are kept for the backward pass, and logits in chunks.
  const activations =
    4 * Math.min(facts.microTokens, tokens) * (16 * hiddenSize * numLayers + Math.min(vocabSize, 2048))
  return {
    example,
    tokensPerStep: tokens,
    trainedShare: trained / Math.max(1, tokens),
    truncatedShare,
    parameters: size,
    flopsPerToken: flopsPerToken(trainable, trained / Math.max(1, tokens)),
    products: { tokens: Math.min(facts.microTokens, tokens), width: hiddenSize },
    memory: {
      parameters: totalBytes(all),
      gradients: totalBytes(all),
      optimizer: facts.optimizer.stateBytes,
      activations,
      available: availableOn(trainable.model.body.embedTokens.device),
    },
    warnings,
  }
}
