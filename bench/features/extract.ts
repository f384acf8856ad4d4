// Our side of bench/features.ts: texts to features through the cache's files, then a learner: one JSON line.
//   extract.ts MODEL TEXTS.json CACHE THREADS DTYPE
import { readFileSync } from 'node:fs'
import { resourceUsage } from 'node:process'
import { loadTokenizer } from '../../src/checkpoint/index.ts'
import {
  featureSettings,
  type LearnableTask,
  learnFromFeatures,
  loadBase,
  predictFromFeatures,
  taskFeatures,
} from '../../src/features/index.ts'
import {
  type ClassificationPrediction,
  type ClassificationRecord,
  statisticsOf,
  type TaskDefinition,
  taskConfig,
  tasks,
} from '../../src/tasks/index.ts'
import { setThreads } from '../../src/tensor/index.ts'
import type { FeatureRun } from '../features.ts'

const [model, file, cache, threads, precision] = process.argv.slice(2)
setThreads(Number(threads))
const { train, dev } = JSON.parse(readFileSync(file, 'utf8')) as { [part: string]: { text: string; label: number }[] }
const task = tasks['sequence-classification'] as unknown as TaskDefinition
const config = taskConfig(task)
const recordsOf = (rows: typeof train): ClassificationRecord[] =>
  rows.map(({ text, label }, i) => ({
    id: String(i),
    file,
    line: i + 1,
    text,
    pair: undefined,
    labels: [String(label)],
  }))
const [learned, held] = [recordsOf(train), recordsOf(dev)]
const tokenizer = await loadTokenizer(model)
const base = await loadBase({ base: model, precision: precision as 'float32' | 'bfloat16' })
const headOptions = { labels: ['0', '1'] }
const prepared = task.prepare(tokenizer, config, {
  maxLength: 128,
  headOptions,
  trainedOn: statisticsOf(task, learned),
}) as LearnableTask
const options = {
  layer: 'last',
  pooling: 'mean',
  separatePairs: false,
  identity: base.identity,
  padId: tokenizer.special.pad?.id ?? 0,
} as const
// Both sides warm up on what is not measured.
await taskFeatures(base.model, prepared, held.slice(0, 128), options)

const timed = async <Result>(work: () => Promise<Result>): Promise<[Result, seconds: number, cpuSeconds: number]> => {
  const [wall, cpu] = [performance.now(), process.cpuUsage()]
  const result = await work()
  const { user, system } = process.cpuUsage(cpu)
  return [result, (performance.now() - wall) / 1000, (user + system) / 1e6]
}

const [features, encodeSeconds, encodeCpuSeconds] = await timed(() =>
  taskFeatures(base.model, prepared, learned, { ...options, cache }),
)
const [, cachedSeconds] = await timed(() => taskFeatures(base.model, prepared, learned, { ...options, cache }))
const settings = featureSettings({ learner: 'logistic-regression' }, 'class')
const [learner, fitSeconds] = await timed(() => learnFromFeatures(prepared, features, settings, { seed: 0 }))
const found = await taskFeatures(base.model, prepared, held, options)
const { predictions } = predictFromFeatures(prepared, held, found, learner)
const right = (predictions as ClassificationPrediction[]).filter(({ label }, i) => label === held[i].labels?.[0]).length
const run: FeatureRun = {
  encodeSeconds,
  encodeCpuSeconds,
  cachedSeconds,
  fitSeconds,
  accuracy: right / held.length,
  peakMb: resourceUsage().maxRSS / 1024,
  sample: features.features.narrow(0, 0, 3).narrow(1, 0, 4).toArray() as number[][],
}
console.log(JSON.stringify(run))
