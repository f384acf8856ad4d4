// The loss curve of plain PyTorch and PEFT loops with the same weights, adapters, order and rates: golden/finetuning.json, made by
// make-finetuning.py over the bases and adapters of tests/adapters/golden. Ours goes unpadded where it can, theirs padded.
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'
import { type AppliedAdapter, applyAdapter, loadAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport } from '../../src/checkpoint/index.ts'
import { parseConfig } from '../../src/core/index.ts'
import { type Criterion, type ObjectiveDefinition, objectives } from '../../src/objectives/index.ts'
import { createOptimizer } from '../../src/optim/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import { initialState, runLength, type TrainingRun, trainingSchema } from '../../src/training/index.ts'
import { testDevice } from '../device.ts'
import { vocabulary } from '../objectives/small-models.ts'
import { classLearner, classRow } from './class-learner.ts'
import { eventsOf, lossesOf } from './small-loop.ts'

setThreads(1)

interface Row {
  ids: number[]
  label: number
}
type Base = 'bert' | 'gpt2'
const golden = JSON.parse(readFileSync(new URL('golden/finetuning.json', import.meta.url), 'utf8')) as {
  batches: Record<Base, Row[][]>
  cases: Record<string, { base: Base; adapter: string | null; learningRate: number; trained: number; losses: number[] }>
}
const adapters = fileURLToPath(new URL('../adapters/golden/', import.meta.url))
const scratch = mkdtempSync(join(tmpdir(), 'finetuning-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

const dropouts = ['hidden_dropout_prob', 'attention_probs_dropout_prob', 'resid_pdrop', 'embd_pdrop', 'attn_pdrop']

/** A base whose config says that there is no dropout. */
const silentBase = (name: Base): string => {
  const folder = join(scratch, name)
  cpSync(join(adapters, 'bases', name), folder, { recursive: true })
  const path = join(folder, 'config.json')
  const config = JSON.parse(readFileSync(path, 'utf8')) as Record<string, unknown>
  for (const field of dropouts) if (field in config) config[field] = 0
  writeFileSync(path, JSON.stringify(config))
  return folder
}

const open = async (base: Base, adapter: string | null): Promise<AppliedAdapter> => {
  const folder = silentBase(base)
  if (adapter !== null)
    return (await loadAdapter(join(adapters, adapter), { base: folder, trainable: true, dtype: 'float32' })).applied
  const head = base === 'bert' ? 'sequence-classification' : 'causal-lm'
  return applyAdapter((await loadModelWithReport(folder, { head, dtype: 'float32' })).model, { type: 'full' })
}

const textExample = ({ ids }: Row) => ({
  ids: Uint32Array.from(ids),
  starts: [0],
  labels: Int32Array.from([...ids.slice(1), -100]),
  trained: ids.length - 1,
  cut: 0,
})

const learnerOf = (base: Base): Criterion<never> => {
  if (base === 'bert') return classLearner(3) as unknown as Criterion<never>
  const definition = objectives['causal-lm'] as ObjectiveDefinition
  return definition.create(definition.config.parse({}), { vocabulary, maxLength: 16 }) as Criterion<never>
}

const runOf = async (name: string): Promise<TrainingRun<never>> => {
  const { base, adapter, learningRate, trained } = golden.cases[name]
  const applied = await open(base, adapter)
  expect(applied.parameterCount).toBe(trained)
  const rows = golden.batches[base].flat()
  const settings = parseConfig(
    trainingSchema,
    {
      batch: { sequences: rows.length / golden.batches[base].length, microTokens: 24 },
      budget: { steps: golden.batches[base].length },
      optimizer: { type: 'adamw', weightDecay: 0.01 },
      schedule: { type: 'linear', warmupSteps: 10 },
    },
    'settings',
  )
  const learner = learnerOf(base)
  return {
    trainable: { model: applied.model, objective: learner, parameters: applied.trainable },
    stream: {
      perEpoch: rows.length,
      example: (position) => {
        const row = rows[position]
        const example = base === 'gpt2' ? textExample(row) : classRow(row.ids, row.label)
        return { example: example as never, cut: 0 }
      },
    },
    optimizer: createOptimizer(settings.optimizer, applied.trainable),
    settings,
    learningRate,
    length: runLength(settings.budget, { examplesPerStep: 5, tokensPerStep: 40, examplesPerEpoch: rows.length }),
    state: initialState(settings, applied.model.facts.numLayers),
    device: testDevice,
  }
}

it.each(Object.keys(golden.cases))('%s: within 0.5 % at each of 100 steps', async (name) => {
  const theirs = golden.cases[name].losses
  const ours = lossesOf(await eventsOf(await runOf(name)))
  expect(ours).toHaveLength(100)
  expect(theirs).toHaveLength(100)
  const mean = (losses: readonly number[]) => losses.reduce((sum, loss) => sum + loss, 0) / losses.length
  expect(mean(theirs.slice(-20))).toBeLessThan(mean(theirs.slice(0, 20)) - 0.02)
  const worst = Math.max(...ours.map((loss, i) => Math.abs(loss / theirs[i] - 1)))
  if (process.env.TUNESMITH_SHOW !== undefined) console.log(name, 'largest relative difference', worst)
  expect(worst).toBeLessThan(0.005)
})
