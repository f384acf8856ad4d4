// Our side of a fine-tuning job in a process of its own: `train.ts FOLDER JOB STEPS [--dtype bfloat16] [--smoke] [--check |
// --evaluate]`. FOLDER is what prepare.ts filled. --check: the loss of the first batch without dropout. --evaluate: logits of all
// examples for validation. One JSON line.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { type AppliedAdapter, applyAdapter, loadAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport, loadTokenizer } from '../../src/checkpoint/index.ts'
import { createOptimizer, optimizerSchema } from '../../src/optim/index.ts'
import { type TaskExample, taskConfig } from '../../src/tasks/index.ts'
import { exampleBatches } from '../../src/tasks/learning/batches.ts'
import { type Dtype, inferenceMode, noGrad, scope, type Tensor } from '../../src/tensor/index.ts'
import { initialState, runLength, type TrainableModel, train, trainingSchema } from '../../src/training/index.ts'
import { jobNamed, smallened } from './jobs.ts'
import { type Row, taskOf } from './prepare.ts'

const flag = { type: 'boolean', default: false } as const
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { dtype: { type: 'string', default: 'float32' }, smoke: flag, check: flag, evaluate: flag },
})
const [folder, name] = positionals
const steps = Number(positionals[2])
const job = values.smoke ? smallened(jobNamed(name)) : jobNamed(name)

const { examples, evaluated } = JSON.parse(readFileSync(join(folder, 'examples.json'), 'utf8')) as Record<string, Row[]>
const exampleOf = ({ ids, types, answer }: Row): TaskExample & { [more: string]: unknown } => ({
  ids: Uint32Array.from(ids),
  typeIds: Uint8Array.from(types),
  starts: [0],
  truncatedTokens: 0,
  ...(job.data === 'sst2' ? { labels: Uint32Array.from(answer) } : { answer }),
})

const task = taskOf(job)
const config = taskConfig(task, job.data === 'sst2' ? { labels: ['negative', 'positive'] } : {}, undefined)
const { model } = await loadModelWithReport(join(folder, 'model'), { head: task.head, dtype: 'float32' })
if (values.dtype !== 'float32') model.to({ dtype: values.dtype as Dtype })
const tokenizer = await loadTokenizer(join(folder, 'model'))
const prepared = task.prepare(tokenizer, config, { maxLength: job.length, headOptions: model.headOptions })
const { criterion: learner } = prepared

/** The values that prepare.ts drew. */
const withDrawnValues = async (applied: AppliedAdapter): Promise<AppliedAdapter> => {
  if (applied.inPlace) return applied
  const opened = await loadAdapter(join(folder, 'adapter'))
  applied.loadState(
    new Map([...applied.trainable].map(([path]) => [path, opened.applied.trainable.get(path) as Tensor])),
  )
  return applied
}
const applied = await withDrawnValues(applyAdapter(model, job.adapter, { seed: 1 }))
const trainable: TrainableModel<TaskExample> = {
  model: applied.model,
  objective: learner,
  parameters: applied.trainable,
}
const peakMb = () => process.resourceUsage().maxRSS / 1024

const check = () => {
  model.eval()
  const batch = examples.slice(0, job.batch).map(exampleOf)
  const loss = noGrad(() =>
    scope(() => {
      const [term] = learner.loss(model, learner.collate(batch, { padded: false })).terms
      return term.sum.item() / term.weight
    }),
  )
  console.log(JSON.stringify({ loss }))
}

/** In the batches of evaluation, without padding. */
const evaluate = () => {
  model.eval()
  const all = evaluated.map((row, record) => ({ example: exampleOf(row), record }))
  const go = () => {
    const { batches } = exampleBatches(all, learner, model, 4096, false)
    let sum = 0
    for (const batch of batches) {
      const part = batch.map((i) => all[i].example)
      sum += inferenceMode(() =>
        scope(() =>
          model
            .forward(learner.collate(part, { padded: false }).inputs)
            .logits.sum()
            .item(),
        ),
      )
    }
    return sum
  }
  go()
  const [from, cpu] = [performance.now(), process.cpuUsage()]
  const sum = go()
  const seconds = (performance.now() - from) / 1000
  const { user, system } = process.cpuUsage(cpu)
  console.log(
    JSON.stringify({ seconds, cpuSeconds: (user + system) / 1e6, examples: all.length, sum, peakMb: peakMb() }),
  )
}

const learn = async () => {
  const settings = trainingSchema.parse({
    batch: { sequences: job.batch },
    budget: { steps },
    schedule: { type: 'constant' },
  })
  const optimizer = createOptimizer(optimizerSchema.parse({ type: 'adamw', weightDecay: 0.01 }), trainable.parameters)
  const all = examples.map(exampleOf)
  const measured: { ms: number; cpuMs: number; examples: number; loss: number }[] = []
  let cpu = process.cpuUsage()
  for await (const event of train({
    trainable,
    stream: { perEpoch: all.length, example: (position) => ({ example: all[position % all.length], cut: 0 }) },
    optimizer,
    settings,
    learningRate: job.learningRate,
    length: runLength(settings.budget, { examplesPerStep: job.batch, tokensPerStep: 1, examplesPerEpoch: all.length }),
    state: initialState(settings, model.facts.numLayers),
  })) {
    const { user, system } = process.cpuUsage(cpu)
    cpu = process.cpuUsage()
    if (event.type === 'step')
      measured.push({
        ms: event.seconds * 1000,
        cpuMs: (user + system) / 1000,
        examples: job.batch,
        loss: event.loss,
      })
  }
  console.log(JSON.stringify({ steps: measured, peakMb: peakMb() }))
}

if (values.check) check()
else if (values.evaluate) evaluate()
else await learn()
