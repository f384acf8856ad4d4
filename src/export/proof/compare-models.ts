// Compares what a program computes from an export with the model: logits, padded batches, greedy tokens and their cache, and
// the first layer that differs.
import { continuesText, LanguageHead, type Model, writesText } from '../../models/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'
import { argmax, type Comparison, LogitDifferences, measuredRow, RelativeDifference } from './differences.ts'
import { type ProofInput, type Runner, runModel } from './runner.ts'

/** Tolerance of logits by the dtype of the weights, relative to their largest absolute value. */
export const logitTolerance: Record<string, number> = { float32: 1e-4, float16: 1e-2, bfloat16: 5e-2 }

type Reading = Pick<ExportSource, 'model' | 'tokenizer'>

export const runSource = ({ model, tokenizer }: Reading): Runner => runModel(model, tokenizer.special.pad?.id)

/** Tokens of a text's answer that a decoder reads. */
const decoderTokens = 24

/** A text as the model gets it, within its context. @param most tokens */
const inputOf = ({ model, tokenizer }: Reading, text: string, most = 256): ProofInput => {
  const { maxPositions = 512, vocabSize, causal, decoderStartTokenId } = model.facts
  const ids = Array.from(tokenizer.encode(text).ids)
    .filter((id) => id < vocabSize)
    .slice(0, Math.min(maxPositions, most))
  if (causal || decoderStartTokenId === undefined || !writesText(model) || !('decoder' in model.body)) return { ids }
  return { ids, decoderIds: [decoderStartTokenId, ...ids.slice(0, decoderTokens - 1)] }
}

/** The token that each row of logits should predict; none where they predict no next token. */
const targetsOf = ({ model }: ExportSource, { ids, decoderIds }: ProofInput): readonly number[] => {
  if (decoderIds !== undefined) return decoderIds.slice(1)
  return continuesText(model) ? ids.slice(1) : []
}

const inputsOf = (source: Reading, texts: readonly string[], most?: number): ProofInput[] =>
  texts.map((text) => inputOf(source, text, most)).filter(({ ids }) => ids.length > 0)

export const textLogits = async (source: Reading, texts: readonly string[]): Promise<Float32Array[]> => {
  const runner = runSource(source)
  const logits: Float32Array[] = []
  for (const input of inputsOf(source, texts)) logits.push(await runner.logits(input))
  return logits
}

/** Classes of a row of logits. */
const widthOf = ({ model }: ExportSource, logits: Float32Array, { ids, decoderIds }: ProofInput): number => {
  if (model.head instanceof LanguageHead) return model.facts.vocabSize
  const tokens = (decoderIds ?? ids).length
  const { labels } = model.headOptions
  if (labels.length > 0 && logits.length % labels.length === 0) return labels.length
  return logits.length % tokens === 0 && logits.length > tokens ? logits.length / tokens : logits.length
}

/** The first layer whose output differs by more than the tolerance. */
const firstDifferentLayer = async (
  ours: Runner,
  theirs: Runner,
  input: ProofInput,
  limit: number,
): Promise<string | undefined> => {
  if (theirs.hidden === undefined || ours.hidden === undefined) return undefined
  const [mine, other] = [await ours.hidden(input), await theirs.hidden(input)]
  const at = mine.findIndex((hidden, i) => {
    const difference = new RelativeDifference()
    difference.add(hidden, other[i] ?? [])
    return !(difference.value <= limit)
  })
  if (at < 0) return 'the hidden states agree: the output layer differs'
  return at === 0 ? 'the embeddings differ' : `layer ${at - 1} is the first that differs`
}

interface LogitOptions {
  /** Most tokens of a text (default: 256). */
  most?: number
  /** What the export is compared with (default: the model). */
  reference?: Runner
}

export const compareLogits = async (
  source: ExportSource,
  runner: Runner,
  texts: readonly string[],
  comparison: Comparison,
  { most, reference = runSource(source) }: LogitOptions = {},
): Promise<ProofRow[]> => {
  const differences = new LogitDifferences()
  const inputs = inputsOf(source, texts, most)
  for (const input of inputs) {
    const ours = await reference.logits(input)
    const theirs = await runner.logits(input)
    differences.add(ours, theirs, widthOf(source, ours, input), targetsOf(source, input))
  }
  const { limit } = comparison
  if (differences.relative <= limit) return differences.rows(comparison)
  const experts = await compareExperts(reference, runner, inputs, comparison)
  const explained = experts.length > 0 && experts.every(({ ok }) => ok)
  const detail = explained
    ? 'experts with nearly equal shares were exchanged: see the logits with the same experts'
    : await firstDifferentLayer(reference, runner, inputs[0], limit)
  return [...differences.rows(comparison, { explained, detail }), ...experts]
}

/** Compares logits where the model takes the experts that the export took, and how far these are from its own. */
const compareExperts = async (
  reference: Runner,
  runner: Runner,
  inputs: readonly ProofInput[],
  comparison: Comparison,
): Promise<ProofRow[]> => {
  if (runner.experts === undefined || reference.logitsWith === undefined) return []
  const { target, consumer, limit } = comparison
  const difference = new RelativeDifference()
  let [slack, changed, tokens] = [0, 0, 0]
  for (const input of inputs) {
    const ours = await reference.logitsWith(input, await runner.experts(input))
    difference.add(ours.logits, await runner.logits(input))
    slack = Math.max(slack, ours.slack)
    changed += ours.changed
    tokens += input.ids.length
  }
  return [
    measuredRow(comparison, 'logits with the same experts', difference.value, limit),
    { target, consumer, check: 'tokens with another expert', value: `${changed} of ${tokens}`, ok: true },
    measuredRow(comparison, 'largest lead of an expert not taken', slack, limit),
  ]
}

/** A vector of norm 1. */
const unit = (values: Float32Array): Float32Array => {
  const norm = Math.hypot(...values)
  return values.map((value) => value / norm)
}

/** Compares embeddings of norm 1 on texts. */
export const compareEmbeddings = async (
  source: ExportSource,
  runner: Runner,
  texts: readonly string[],
  comparison: Comparison,
  reference: Runner,
): Promise<ProofRow[]> => {
  let [largest, least] = [0, 1]
  for (const input of inputsOf(source, texts)) {
    const [ours, theirs] = [unit(await reference.logits(input)), unit(await runner.logits(input))]
    largest = ours.reduce((most, value, i) => {
      const difference = Math.abs(value - theirs[i])
      return Number.isNaN(difference) ? Number.POSITIVE_INFINITY : Math.max(difference, most)
    }, largest)
    least = Math.min(
      least,
      ours.reduce((sum, value, i) => sum + value * theirs[i], 0),
    )
  }
  const { target, consumer, limit } = comparison
  return [
    measuredRow(comparison, 'embeddings, largest difference', largest, limit),
    { target, consumer, check: 'embeddings, smallest cosine', value: least.toFixed(6), ok: least > 0.99 },
  ]
}

/** Compares a batch of texts that are padded with the same texts one by one, in the program of the export. */
const compareBatch = async (
  source: ExportSource,
  runner: Runner,
  texts: readonly string[],
  comparison: Comparison,
): Promise<ProofRow[]> => {
  const inputs = inputsOf(source, texts, 64).slice(0, 4)
  if (runner.batch === undefined || inputs.length < 2) return []
  const shortest = Math.min(...inputs.map(({ decoderIds = [] }) => decoderIds.length))
  const rows = inputs.map((input) =>
    input.decoderIds === undefined ? input : { ...input, decoderIds: input.decoderIds.slice(0, shortest) },
  )
  const together = await runner.batch(rows)
  const difference = new RelativeDifference()
  for (const [i, row] of rows.entries()) difference.add(await runner.logits(row), together[i])
  const { limit, repeatLimit = limit } = comparison
  return [measuredRow(comparison, 'padded batch against single rows', difference.value, repeatLimit)]
}

const generatedTokens = 32

/** What 32 steps of one text gave. */
interface Generated {
  tokens: number[]
  /** Steps where the export's most likely token is the model's. */
  same: number
  /** Steps where it is another, though the model's logits of the two differ by more than the tolerance allows. */
  wrong: number
}

/** Whether a token's logit is below that of the most likely one by more than the tolerance allows. */
const isFar = (expected: Float32Array, chosen: number, limit: number): boolean => {
  const scale = expected.reduce((most, one) => Math.max(most, Math.abs(one)), 0)
  // A token that the model does not have is far from all.
  return !(expected[argmax(expected)] - expected[chosen] <= 2 * limit * scale)
}

/** Whether the export's most likely token is another, though the model's logits of the two differ by more than allowed. */
const isWrong = (expected: Float32Array, got: Float32Array, limit: number): boolean =>
  isFar(expected, argmax(got), limit)

/** The model's logits of a text with the experts that the export takes; undefined without mixtures. */
const logitsWithTheirExperts = async (
  reference: Runner,
  runner: Runner,
  input: ProofInput,
): Promise<Float32Array | undefined> => {
  if (runner.experts === undefined || reference.logitsWith === undefined) return undefined
  return (await reference.logitsWith(input, await runner.experts(input))).logits
}

/** Generates with the model, and asks the export for the next token at each step. */
const generateBoth = async (
  ours: Runner,
  theirs: Runner,
  input: ProofInput,
  limit: number,
  cached: Float32Array[],
): Promise<Generated> => {
  const [mine, other] = [await ours.decode?.(input), await theirs.decode?.(input)]
  if (mine === undefined || other === undefined) return { tokens: [], same: 0, wrong: 0 }
  const found: Generated = { tokens: [], same: 0, wrong: 0 }
  let token: number | undefined
  for (let step = 0; step < generatedTokens; step++) {
    const [expected, got] = [await mine.next(token), await other.next(token)]
    cached.push(got)
    token = argmax(expected)
    if (argmax(got) === token) found.same++
    if (isWrong(expected, got, limit)) found.wrong++
    found.tokens.push(token)
  }
  await mine.free()
  await other.free()
  return found
}

/** Row of the greedy tokens that are the model's. @param wrong tokens that the tolerance does not explain */
const greedyRow = (
  { target, consumer }: Comparison,
  { same, steps, wrong }: Record<'same' | 'steps' | 'wrong', number>,
): ProofRow => ({
  target,
  consumer,
  check: 'greedy tokens',
  value: `${same} of ${steps}`,
  ok: wrong === 0,
  ...(wrong === 0 ? {} : { detail: `${wrong} differ by more than the tolerance of the logits` }),
})

/** Texts that an export continues, as short prompts; none where the context leaves no room for an answer. */
const promptsOf = (source: ExportSource, texts: readonly string[], count: number): ProofInput[] => {
  const { maxPositions = Number.POSITIVE_INFINITY } = source.model.facts
  const most = Math.min(16, maxPositions - generatedTokens)
  return most < 1 ? [] : inputsOf(source, texts, most).slice(0, count)
}

/**
 * Compares the greedy tokens of a program that shows no logits: each must be the model's most likely token after those before it, or be
 * explained by the tolerance.
 * @param generate at most so many tokens after a prompt, without it
 * @param skipped gets the reason where none are compared
 */
export const compareContinuations = async (
  source: ExportSource,
  texts: readonly string[],
  comparison: Comparison,
  generate: (prompt: ProofInput, most: number) => Promise<readonly number[]>,
  skipped: (reason: string) => void,
): Promise<ProofRow[]> => {
  const reference = runSource(source)
  if (reference.decode === undefined) return []
  if (reference.experts !== undefined) {
    skipped('rounding may exchange experts of nearly equal shares, and it does not say which it took')
    return []
  }
  let [same, wrong, steps] = [0, 0, 0]
  const prompts = promptsOf(source, texts, 2)
  for (const prompt of prompts) {
    const mine = await reference.decode(prompt)
    let token: number | undefined
    for (const chosen of await generate(prompt, generatedTokens)) {
      const expected = await mine.next(token)
      if (argmax(expected) === chosen) same++
      else if (isFar(expected, chosen, comparison.limit)) wrong++
      steps++
      token = chosen
    }
    await mine.free()
  }
  if (steps === 0) {
    skipped(prompts.length === 0 ? 'the context of the model has no room for an answer' : 'it generated no token')
    return []
  }
  return [greedyRow(comparison, { same, steps, wrong })]
}

/** Compares greedy tokens with the model's, and logits with a cache with those without one. */
export const compareGreedy = async (
  source: ExportSource,
  runner: Runner,
  texts: readonly string[],
  comparison: Comparison,
  { reference = runSource(source), prompts = 2 }: { reference?: Runner; prompts?: number } = {},
): Promise<ProofRow[]> => {
  if (runner.decode === undefined || reference.decode === undefined) return []
  const { limit, repeatLimit = limit } = comparison
  const chosen = promptsOf(source, texts, prompts)
  if (chosen.length === 0) return []
  const difference = new RelativeDifference()
  const total = { same: 0, wrong: 0, steps: 0 }
  for (const prompt of chosen) {
    const cached: Float32Array[] = []
    const { tokens, same, wrong } = await generateBoth(reference, runner, prompt, limit, cached)
    total.same += same
    total.steps += tokens.length
    const start = prompt.decoderIds?.slice(0, 1)
    const all = tokens.slice(0, -1)
    const input =
      start === undefined ? { ids: [...prompt.ids, ...all] } : { ids: prompt.ids, decoderIds: [...start, ...all] }
    const whole = await runner.logits(input)
    const width = cached[0].length
    const rowOf = (logits: Float32Array, i: number) => {
      const from = logits.length - (cached.length - i) * width
      return logits.subarray(from, from + width)
    }
    for (const [i, row] of cached.entries()) difference.add(rowOf(whole, i), row)
    // Other experts of equal shares may choose other tokens, which is no fault of the export's.
    const expected = wrong === 0 ? undefined : await logitsWithTheirExperts(reference, runner, input)
    total.wrong +=
      expected === undefined
        ? wrong
        : cached.filter((_, i) => isWrong(rowOf(expected, i), rowOf(whole, i), limit)).length
  }
  return [
    greedyRow(comparison, total),
    measuredRow(comparison, 'with a cache against without', difference.value, repeatLimit),
  ]
}

/** Every comparison that a program allows. */
export const compareRunner = async (
  source: ExportSource,
  runner: Runner,
  texts: readonly string[],
  comparison: Comparison,
): Promise<ProofRow[]> => [
  ...(await compareLogits(source, runner, texts, comparison)),
  ...(await compareBatch(source, runner, texts, comparison)),
  ...(await compareGreedy(source, runner, texts, comparison)),
]

/** Frees the parameters of a model that was read back. */
export const freeModel = (model: Model): void => {
  for (const tensor of new Set(model.parameters().values())) tensor.free()
}
