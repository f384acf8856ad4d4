// Compares the score of a specialist's task: of the model, and of its export on the same records.
import { ConfigError } from '../../core/index.ts'
import { logitsProcessors, parseGeneration, TextAssembler } from '../../generation/index.ts'
import { type BodyInputs, headEntry, Model, type ModelOutputs } from '../../models/index.ts'
import {
  evaluateTask,
  findTask,
  type GeneratedAnswer,
  type PreparedTask,
  scoreRecords,
  type TaskDefinition,
  type TaskRecord,
  taskConfig,
  taskMaxLength,
} from '../../tasks/index.ts'
import { scope, Tensor } from '../../tensor/index.ts'
import type { ExportSource, ProofRow } from '../export-target.ts'
import { argmax, type Comparison } from './differences.ts'
import type { ProofInput, Runner } from './runner.ts'

/** Records that a specialist is scored on. */
export interface Validation {
  task: TaskDefinition
  config: object
  records: readonly TaskRecord[]
  maxLength: number
  prepared: PreparedTask
}

/** Opens the validation records of a specialist. @throws ConfigError for a model without a task */
export const openValidation = async (source: ExportSource, path: string): Promise<Validation> => {
  if (source.task === undefined)
    throw new ConfigError(
      `\`data\` needs a specialist, whose task says how records are read, and ${source.given} is none: use \`texts\`.`,
    )
  const { model, tokenizer } = source
  const { task: type, settings, maxLength: trained } = source.task
  const task = findTask(type)
  const config = taskConfig(task, {}, undefined, settings)
  const { records } = await task.read(path, config)
  if (records.length === 0) throw new ConfigError(`Expected records in ${path} for \`data\`, got none.`)
  const { headOptions, facts } = model
  const maxLength = trained ?? headOptions.maxTokens ?? taskMaxLength(model, tokenizer, task)
  const prepared = task.prepare(tokenizer, config, { maxLength, headOptions, facts })
  return { task, config, records, maxLength, prepared }
}

/** The main metric of a model. */
const scoreOf = async (
  model: Model,
  { tokenizer }: Pick<ExportSource, 'tokenizer'>,
  { task, config, records, maxLength }: Validation,
): Promise<number> => {
  const { metrics, mainMetric } = await evaluateTask(model, tokenizer, task, records, config, {
    maxLength,
    resamples: 1,
  })
  return metrics[mainMetric].value
}

const sourceScores = new WeakMap<Validation, Promise<number>>()

/** The main metric of the model itself, computed once. */
const sourceScore = (source: ExportSource, validation: Validation): Promise<number> => {
  const found = sourceScores.get(validation) ?? scoreOf(source.model, source, validation)
  sourceScores.set(validation, found)
  return found
}

const intsOf = (tensor: Tensor): number[] => {
  const values = new BigInt64Array(tensor.size)
  scope(() => tensor.to('int64').contiguous().copyInto(values))
  return Array.from(values, Number)
}

/** The texts of a batch without padding, in its order. */
const textsOf = ({ inputIds, attentionMask, typeIds, starts }: BodyInputs): ProofInput[] => {
  const ids = intsOf(inputIds)
  const types = typeIds === undefined ? undefined : intsOf(typeIds)
  const text = (places: readonly number[]): ProofInput => ({
    ids: places.map((i) => ids[i]),
    ...(types === undefined ? {} : { typeIds: places.map((i) => types[i]) }),
  })
  const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)
  if (starts !== undefined) {
    const edges = intsOf(starts)
    return edges.slice(1).map((end, i) => text(range(edges[i], end)))
  }
  const length = inputIds.shape[inputIds.ndim - 1]
  const seen = attentionMask === undefined ? ids.map(() => 1) : intsOf(attentionMask)
  return range(0, ids.length / length).map((row) =>
    text(range(row * length, (row + 1) * length).filter((i) => seen[i] !== 0)),
  )
}

/** A batch of an evaluation: its texts, and the logits of the model with their places. */
interface RecordedBatch {
  texts: ProofInput[]
  /** Elements of each text among the logits, where these have padding. */
  places: number[][] | undefined
  shape: readonly number[]
}

const factsOf = ({ definition, config, headType, headOptions }: Model) => ({
  definition,
  config,
  headType,
  headOptions,
  entry: headEntry(definition, config, headType),
})

/** The model, which keeps the batches that an evaluation passes to it. */
class RecordingModel extends Model {
  readonly batches: RecordedBatch[] = []
  readonly #model: Model

  constructor(model: Model) {
    super(factsOf(model), model.body, model.head)
    this.#model = model
  }

  override forward(inputs: BodyInputs): ModelOutputs {
    const outputs = this.#model.forward(inputs)
    const { shape } = outputs.logits
    const texts = textsOf(inputs)
    const [rows, length] = [inputs.inputIds.shape[0], inputs.inputIds.shape[inputs.inputIds.ndim - 1]]
    const byToken = inputs.starts === undefined && shape.length > 1 && shape[0] === rows && shape[1] === length
    const padded = byToken && texts.some(({ ids }) => ids.length < length)
    this.batches.push({ texts, shape, places: padded ? placesOf(inputs, shape) : undefined })
    return outputs
  }
}

/** Indices of the logits at tokens that are no padding, row by row. */
const placesOf = ({ attentionMask, inputIds }: BodyInputs, shape: readonly number[]): number[][] => {
  const [rows, length] = inputIds.shape
  const seen = attentionMask === undefined ? Array<number>(rows * length).fill(1) : intsOf(attentionMask)
  const width = shape.slice(2).reduce((product, size) => product * size, 1)
  return Array.from({ length: rows }, (_, row) =>
    Array.from({ length: length * width }, (_, i) => row * length * width + i).filter(
      (i) => seen[Math.floor(i / width)] !== 0,
    ),
  )
}

/** Gives logits that another program computed, batch by batch. */
class ReplayingModel extends Model {
  readonly #batches: { values: Float32Array; shape: readonly number[] }[]

  constructor(model: Model, batches: { values: Float32Array; shape: readonly number[] }[]) {
    super(factsOf(model), model.body, model.head)
    this.#batches = batches
  }

  override forward(inputs: BodyInputs): ModelOutputs {
    const batch = this.#batches.shift()
    if (batch === undefined) throw new Error('more batches than were recorded')
    return { hidden: inputs.inputIds, logits: Tensor.from(batch.values, { shape: [...batch.shape] }) }
  }
}

/** The main metric of the export, whose logits another program computes. */
const replayedScore = async (source: ExportSource, runner: Runner, validation: Validation): Promise<number> => {
  const recording = new RecordingModel(source.model)
  await scoreOf(recording, source, validation)
  const batches: { values: Float32Array; shape: readonly number[] }[] = []
  for (const { texts, places, shape } of recording.batches) {
    const values = new Float32Array(shape.reduce((product, size) => product * size, 1))
    let at = 0
    for (const [row, text] of texts.entries()) {
      const logits = await runner.logits(text)
      if (places === undefined) values.set(logits, at)
      else for (const [i, place] of places[row].entries()) values[place] = logits[i]
      at += logits.length
    }
    batches.push({ values, shape })
  }
  return scoreOf(new ReplayingModel(source.model, batches), source, validation)
}

type Plan = NonNullable<PreparedTask['generation']>

/** A greedy answer by another program. */
const answerOf = async (
  { tokenizer, model }: ExportSource,
  runner: Runner,
  ids: readonly number[],
  plan: Plan,
): Promise<GeneratedAnswer> => {
  const settings = parseGeneration(plan.generation)
  const ends = settings.eosTokenIds ?? [tokenizer.special.eos?.id ?? []].flat()
  const processors = logitsProcessors({ ...settings, eosTokenIds: ends })
  const assembler = new TextAssembler(tokenizer, settings.stop)
  const start = model.facts.causal ? [...ids] : [model.facts.decoderStartTokenId ?? 0]
  const decoding = await runner.decode?.({ ids })
  if (decoding === undefined) throw new Error('a generative task without a program that generates')
  let newTokens = 0
  let token: number | undefined
  let ended = false
  while (newTokens < settings.maxNewTokens && !ended) {
    const scores = await decoding.next(token)
    for (const process of processors) process(scores, { ids: start, newTokens })
    token = argmax(scores)
    start.push(token)
    newTokens++
    ended = ends.includes(token)
    if (!ended) assembler.push(token)
    ended ||= assembler.stopped
  }
  assembler.finish()
  await decoding.free()
  return { text: assembler.text, endedByItself: ended, newTokens }
}

/** The main metric of answers that another program generates; undefined where they are not greedy. */
const generatedScore = async (
  source: ExportSource,
  runner: Runner,
  { task, config, records, prepared }: Validation,
): Promise<number | undefined> => {
  const plan = prepared.generation
  const { sample = false, numBeams = 1 } = plan?.generation ?? {}
  if (plan === undefined || sample || numBeams > 1 || runner.decode === undefined) return undefined
  const predictions = []
  for (const record of records) {
    const { ids } = plan.prompt(record)
    predictions.push(plan.decode(record, await answerOf(source, runner, ids, plan), undefined))
  }
  const scores = scoreRecords(task, records, predictions, config, source.model.headOptions.labels)
  return scores.scores()[task.mainMetric(config)]
}

/** How far a score may be from the model's: of the score, or of 1 where it is less. */
const scoreTolerance = 0.005

/**
 * Compares the main metric of the specialist's task. One row; none without validation data.
 * @param other the export: a model that was read back, or the program that computes its logits
 * @param exact whether the score must stay: quantised exports are reported, and the user judges
 */
export const compareScores = async (
  source: ExportSource,
  validation: Validation | undefined,
  other: Model | Runner,
  { target, consumer, exact }: Pick<Comparison, 'target' | 'consumer'> & { exact: boolean },
): Promise<ProofRow[]> => {
  if (validation === undefined) return []
  const { task, config, records, prepared } = validation
  const ours = await sourceScore(source, validation)
  const theirs =
    other instanceof Model
      ? await scoreOf(other, source, validation)
      : prepared.generation === undefined
        ? await replayedScore(source, other, validation)
        : await generatedScore(source, other, validation)
  if (theirs === undefined) return []
  const within = Math.abs(ours - theirs) <= scoreTolerance * Math.max(1, Math.abs(ours))
  return [
    {
      target,
      consumer,
      check: `${task.mainMetric(config)} on ${records.length} records, of the model, of the export`,
      value: [ours, theirs].map((one) => one.toFixed(4)).join(', '),
      ...(exact ? { limit: `within ${scoreTolerance}` } : {}),
      ok: !exact || within,
    },
  ]
}
