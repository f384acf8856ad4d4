// What is checked and shown before the first step, so that a run that cannot learn is not paid for. Knows no objective by name.
import { ConfigError } from '../core/index.ts'
import { Embedding } from '../nn/index.ts'
import type { VocabularyFacts } from '../objectives/index.ts'
import type { Optimizer } from '../optim/index.ts'
import { memoryStatistics } from '../tensor/index.ts'
import { type ExampleSource, takeBatch } from './example-stream.ts'
import { type TrainableModel, totalWeights } from './gradients.ts'

export interface PreFlightFacts<Example> {
  trainee: TrainableModel<Example>
  optimizer: Pick<Optimizer, 'stateBytes'>
  stream: ExampleSource<Example>
  batch: { sequences?: number; tokens?: number }
  microTokens: number
  vocabulary: VocabularyFacts
  vocabSize: number
  decode(ids: readonly number[]): string
}

export interface PreFlight {
  /** The first example as text, with what is trained marked. */
  example: string
  tokensPerStep: number
  /** Share of tokens that the loss looks at. */
  trainedShare: number
  /** Share of tokens that did not fit into examples. */
  truncatedShare: number
  parameters: number
  /** Of the matrix products of a training step, forward and backward: six for each parameter that a token meets. */
  flopsPerToken: number
  /** Rows and width of the matrix products. */
  products: { tokens: number; width: number }
  memory: { parameters: number; gradients: number; optimizer: number; activations: number; available: number }
  warnings: string[]
}

const bytesOf = (tensors: Iterable<{ size: number; dtype: string }>): number => {
  let bytes = 0
  for (const { size, dtype } of tensors) bytes += size * (dtype === 'float32' ? 4 : 2)
  return bytes
}

/** Tables are looked up, not multiplied; the head meets the trained tokens only. */
const flopsPerToken = (
  { model, auxiliary }: Pick<TrainableModel, 'model' | 'auxiliary'>,
  trainedShare: number,
): number => {
  let perToken = 0
  for (const one of [model, auxiliary]) {
    if (one === undefined) continue
    const tables = new Set(
      [...one.body.modules()].flatMap(([, part]) => (part instanceof Embedding ? [part.weight] : [])),
    )
    for (const parameter of one.body.parameters().values()) if (!tables.has(parameter)) perToken += parameter.size
    for (const parameter of one.head.parameters().values()) perToken += parameter.size * trainedShare
  }
  return 6 * perToken
}

/** @throws ConfigError or DataError for a run that could not learn */
export const preFlight = <Example>(facts: PreFlightFacts<Example>): PreFlight => {
  const { trainee, stream, vocabulary, decode } = facts
  const { objective } = trainee
  if (vocabulary.size > facts.vocabSize)
    throw new ConfigError(
      `Expected a model with at least ${vocabulary.size} entries in its vocabulary, as the tokenizer has, got ${facts.vocabSize}. Set the model's vocabSize.`,
    )
  if (trainee.parameters.size === 0) throw new ConfigError('Expected parameters to train, got none. Unfreeze some.')
  const { examples, tokens, cut } = takeBatch(stream, objective.tokens, 0, facts.batch)
  const totals = totalWeights(objective, examples)
  const trained = Math.max(...Object.values(totals))
  const first = examples.find((example) => Object.values(objective.weights(example)).some((weight) => weight > 0))
  const warnings: string[] = []
  const truncatedShare = cut / Math.max(1, tokens + cut)
  if (truncatedShare > 0.05)
    warnings.push(`${(100 * truncatedShare).toFixed(1)} % of the tokens do not fit into the examples and are not seen.`)
  if (vocabulary.pad !== undefined && vocabulary.pad === vocabulary.eos)
    warnings.push('The padding token is the end of text too: padding is told from text by masks, never by its id.')
  if (vocabulary.eos === undefined && vocabulary.sep === undefined)
    warnings.push('The tokenizer has no end of text: the model cannot learn where one ends.')
  const all = [...trainee.parameters.values()]
  const size = all.reduce((sum, parameter) => sum + parameter.size, 0)
  const { hiddenSize, numLayers, vocabSize } = trainee.model.facts
  // Some 16 vectors of the hidden size a layer are kept for the backward pass, and one row of scores at a time in chunks.
  const activations =
    4 * Math.min(facts.microTokens, tokens) * (16 * hiddenSize * numLayers + Math.min(vocabSize, 2048))
  return {
    example: first === undefined ? '' : objective.describe(first, decode),
    tokensPerStep: tokens,
    trainedShare: trained / Math.max(1, tokens),
    truncatedShare,
    parameters: size,
    flopsPerToken: flopsPerToken(trainee, trained / Math.max(1, tokens)),
    products: { tokens: Math.min(facts.microTokens, tokens), width: hiddenSize },
    memory: {
      parameters: bytesOf(all),
      gradients: bytesOf(all),
      optimizer: facts.optimizer.stateBytes,
      activations,
      available: memoryStatistics().limit ?? memoryStatistics().available,
    },
    warnings,
  }
}
