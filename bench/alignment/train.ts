// Our side of an alignment job in a process of its own: `train.ts FOLDER JOB STEPS [--smoke] [--threads N] [--batch N] [--dtype bfloat16] [--recompute all] [--answers FILE]`. FOLDER is
// what prepare.ts filled; the loop, criterion, reference and rollouts are those of `tunesmith align` and `finetune`. With `--answers`, those of
// the peer's first step are learned from, in place of our own. One JSON line.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import {
  Alarms,
  type AnswerSampler,
  adaptersOffReference,
  alarmSchema,
  answerSampler,
  completionOf,
  findPreference,
  pairOf,
  type ResolvedRollout,
  RolloutSource,
  rolloutSchema,
  scoreCompletions,
  withPackedWeights,
} from '../../src/alignment/index.ts'
import { loadModelWithReport, loadTokenizer } from '../../src/checkpoint/index.ts'
import type { Criterion } from '../../src/objectives/index.ts'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import { findRolloutObjective } from '../../src/runs/align/reinforcement/objectives.ts'
import { withoutDropout } from '../../src/runs/align/trained-policy.ts'
import { type TaskDefinition, taskConfig, tasks } from '../../src/tasks/index.ts'
import { type Dtype, setBatchInvariant, setThreads } from '../../src/tensor/index.ts'
import { type ExampleSource, initialState, runLength, train, trainingSchema } from '../../src/training/index.ts'
import { jobNamed, sized, smallened, startingAdapter } from './jobs.ts'
import type { PairRow, Rows } from './prepare.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    smoke: { type: 'boolean', default: false },
    threads: { type: 'string', default: '1' },
    batch: { type: 'string' },
    dtype: { type: 'string', default: 'float32' },
    recompute: { type: 'string', default: 'none' },
    answers: { type: 'string' },
  },
})
const [folder, name] = positionals
const steps = Number(positionals[2])
const job = sized(values.smoke ? smallened(jobNamed(name)) : jobNamed(name), values)
setThreads(Number(values.threads))
// As `align` computes in float32: sampling and training agree to the bit.
const fullPrecision = values.dtype === 'float32'
if (job.data === 'prompts' && fullPrecision) setBatchInvariant(true)

const rows = JSON.parse(readFileSync(join(folder, 'rows.json'), 'utf8')) as Rows
const base = join(folder, 'model')
const { model } = await loadModelWithReport(base, {
  head: job.head,
  dtype: 'float32',
  mapEachTensor: !fullPrecision,
})
if (!fullPrecision) model.to({ dtype: values.dtype as Dtype })
const tokenizer = await loadTokenizer(base)
const applied = startingAdapter(model)
const reference = adaptersOffReference(applied)

const inOrder = (examples: readonly unknown[]): ExampleSource<unknown> => ({
  perEpoch: examples.length,
  example: (position) => ({ example: examples[position % examples.length], cut: 0 }),
})

const sequence = (prompt: readonly number[], answer: readonly number[]) => ({
  ids: Uint32Array.from([...prompt, ...answer]),
  starts: [0],
  promptTokens: prompt.length,
  truncatedTokens: 0,
})
const pairFrom = ({ prompt, chosen, rejected }: PairRow) => pairOf(sequence(prompt, chosen), sequence(prompt, rejected))

/** A reward model. */
const rewardModel = (): [Criterion, ExampleSource<unknown>] => {
  const task = tasks.reward as unknown as TaskDefinition
  const { headOptions, facts } = model
  const { criterion } = task.prepare(tokenizer, taskConfig(task, {}), { maxLength: job.length, headOptions, facts })
  const examples = rows.pairs.map((row) => ({
    ...pairFrom(row),
    pairs: [[0, 1]],
    margin: 0,
    good: undefined,
    kept: [0, 1],
  }))
  return [criterion as unknown as Criterion, inOrder(examples)]
}

const preference = (type: string): [Criterion, ExampleSource<unknown>] => {
  const definition = findPreference(type)
  const criterion = definition.criterion(definition.config.parse(job.settings), { reference })
  return [withoutDropout(criterion as Criterion), inOrder(rows.pairs.map(pairFrom))]
}

/** Share of the characters that are vowels. */
const vowels = (text: string): number =>
  [...text].filter((letter) => 'aeiou'.includes(letter)).length / Math.max(1, [...text].length)

/** Answers that were sampled elsewhere, with the log-probabilities that they have here. */
const recorded = (file: string): AnswerSampler => {
  const given = JSON.parse(readFileSync(file, 'utf8')) as { prompt: number[]; completion: number[] }[]
  return async (requests) => {
    const groups = requests.map(({ prompt }) => {
      const own = given.filter(({ prompt: ids }) => String(ids) === String(prompt.ids))
      if (own.length !== job.answers)
        throw new Error(`Expected ${job.answers} answers of the peer to the ids ${prompt.ids}, got ${own.length}.`)
      return own.map(({ completion }) => ({ prompt, ids: Uint32Array.from(completion) }))
    })
    const all = groups.flat().map(({ prompt, ids }) => completionOf(prompt, { ids }))
    const scores = await scoreCompletions(model, all, { microTokens: 4096, padded: false })
    return groups.map((group, i) =>
      group.map(({ ids }, k) => ({
        ids,
        mask: new Uint8Array(ids.length).fill(1),
        logProbs: scores[i * job.answers + k].logProbs,
        finishReason: 'length' as const,
      })),
    )
  }
}

const reinforcement = (type: string): [Criterion, ExampleSource<unknown>] => {
  const objective = findRolloutObjective(type)
  if (objective === undefined) throw new Error(`Expected an objective that learns from rewards, got ${type}.`)
  const { batch, answers, newTokens } = job
  const rollout = {
    ...rolloutSchema.parse({ prompts: batch, answers, maxNewTokens: newTokens, keep: false }),
    ...{ epochs: 1, rounds: 1 },
  } as ResolvedRollout
  const { criterion, method } = objective.create(objective.config.parse(job.settings), {
    policy: model,
    reference,
    rewardWeights: [1],
    rollout,
    maxTokens: newTokens,
    updates: 1,
    fullPrecision,
  })
  const source = new RolloutSource({
    // No token ends an answer, so that both sides write equally many.
    prompts: rows.prompts.map(({ ids, text }, i) => ({
      ids,
      endTokens: [],
      record: { id: String(i), file: 'rows.json', line: undefined, fields: {}, prompt: text },
    })),
    settings: rollout,
    seed: 0,
    sample:
      values.answers === undefined ? withPackedWeights(model, answerSampler(model, rollout)) : recorded(values.answers),
    judge: {
      names: ['vowels'],
      weights: [1],
      score: async (asked) =>
        asked.map(({ text }) => {
          const reward = vowels(text)
          return { rewards: [reward], reward }
        }),
    },
    method,
    alarms: new Alarms(alarmSchema.parse({})),
    decode: (ids, { special = false } = {}) => tokenizer.decode(Array.from(ids), { skipSpecialTokens: !special }),
  })
  return [withoutDropout(criterion), source]
}

const { objective: type } = job
const [objective, stream] =
  type === undefined ? rewardModel() : job.data === 'pairs' ? preference(type) : reinforcement(type)
const perStep = job.data === 'pairs' ? job.batch : job.batch * job.answers
const settings = trainingSchema.parse({
  batch: { sequences: perStep },
  budget: { steps },
  schedule: { type: 'constant' },
  recompute: values.recompute,
})

interface Step {
  ms: number
  cpuMs: number
  loss: number
  gradientNorm: number
  /** Milliseconds of the parts of a step that samples answers. */
  parts?: { generation: number; scoring: number; training: number }
}
const measured: Step[] = []
let [cpu, rolloutMs] = [process.cpuUsage(), 0]
let made: { generation: number; scoring: number } | undefined
for await (const event of train({
  trainable: { model, objective, parameters: applied.trainable },
  stream,
  optimizer: createOptimizer(optimizerSchema.parse({ type: 'adamw', weightDecay: 0 }), applied.trainable),
  settings,
  learningRate: job.learningRate,
  length: runLength(settings.budget, { examplesPerStep: perStep, tokensPerStep: 1, examplesPerEpoch: stream.perEpoch }),
  state: initialState(settings, model.facts.numLayers),
})) {
  if (event.type === 'rollout') {
    rolloutMs = 1000 * event.seconds
    const generation = rolloutMs * event.metrics.samplingShare
    made = { generation, scoring: rolloutMs - generation }
  }
  if (event.type !== 'step') continue
  const { user, system } = process.cpuUsage(cpu)
  cpu = process.cpuUsage()
  const training = 1000 * event.seconds
  measured.push({
    ms: training + rolloutMs,
    cpuMs: (user + system) / 1000,
    loss: event.loss,
    gradientNorm: event.gradientNorm,
    ...(made === undefined ? {} : { parts: { ...made, training } }),
  })
}
console.log(JSON.stringify({ steps: measured, peakMb: process.resourceUsage().maxRSS / 1024 }))
