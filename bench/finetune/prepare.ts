// Writes what both sides of a job read: the base with a drawn head, the adapter with drawn values, and examples as ids in the order in
// which they are learned. Questions become windows here, so that both sides have the same ones.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { applyAdapter, saveAdapter } from '../../src/adapters/index.ts'
import { loadModelWithReport, loadTokenizer, saveModel } from '../../src/checkpoint/index.ts'
import { createRandom } from '../../src/core/index.ts'
import { buildModel, type ModelDefinition, models } from '../../src/models/index.ts'
import { vocabularyFacts } from '../../src/objectives/index.ts'
import {
  statisticsOf,
  type TaskDefinition,
  type TaskExample,
  type TaskRecord,
  taskConfig,
  tasks,
} from '../../src/tasks/index.ts'
import { Generator, noGrad } from '../../src/tensor/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { bundledLines } from '../book-lines.ts'
import type { Job } from './jobs.ts'

export const taskOf = ({ data }: Pick<Job, 'data'>): TaskDefinition =>
  tasks[data === 'sst2' ? 'sequence-classification' : 'extractive-qa'] as unknown as TaskDefinition

/** One example in examples.json: ids, segments, and the class or the answer's borders. */
export interface Row {
  ids: number[]
  types: number[]
  answer: number[]
}

export interface Prepared {
  examples: number
  parameters: number
  trained: number
  /** Share of a batch that is not padding, where rows are padded to the longest of their batch. */
  fill: number
}

interface Material {
  base: string
  records: TaskRecord[]
  evaluated: TaskRecord[]
  config: object
}

/** A small base with a tokenizer of its own, and records of invented questions over a book. */
const invented = async (job: Job, folder: string): Promise<Material> => {
  const lines = await bundledLines(64, [80, 400])
  const base = join(folder, 'base')
  const { files } = await trainTokenizer(lines, { type: 'wordpiece', vocabSize: 512, validation: 0 })
  await writeTokenizerFolder(base, files)
  const definition = models.bert as ModelDefinition
  const vocabSize = vocabularyFacts(await loadTokenizer(base)).size
  const size = { hiddenSize: 32, numLayers: 2, numHeads: 2, intermediateSize: 64, maxPositions: 64 }
  const model = buildModel(definition, definition.adjust({}, { vocabSize, ...size }), 'embedding')
  model.initialize({ std: 0.02, generator: new Generator(0) })
  await saveModel(model, base, { tokenizer: base })
  const records = lines.map((line, i) => {
    const place = { id: String(i), file: 'invented', line: i + 1 }
    if (job.data === 'sst2') return { ...place, text: line.slice(0, 60), labels: [['negative', 'positive'][i % 2]] }
    const text = line.slice(0, 20).trim()
    return { ...place, question: line.slice(0, 12), context: line.trim(), answers: [{ text, start: 0 }] }
  })
  const config = taskConfig(taskOf(job), job.data === 'sst2' ? {} : { stride: 8, maxQuestionTokens: 12 })
  return { base, records, evaluated: records, config }
}

const published = async (job: Job, data: string, base: string): Promise<Material> => {
  const task = taskOf(job)
  const config = taskConfig(task, {}, job.data === 'sst2' ? 'sst2' : 'squad-v2')
  if (job.data === 'squad') {
    const { records } = await task.read(join(data, 'squad-v2', 'dev-v2.0.json.gz'), config)
    createRandom('bench/questions').shuffle(records)
    return { base, config, records: records.slice(0, 2000), evaluated: records.slice(2000, 2400) }
  }
  const { records } = await task.read(join(data, 'sst2', 'train.tsv.gz'), config)
  createRandom('bench/sentences').shuffle(records)
  const { records: evaluated } = await task.read(join(data, 'sst2', 'dev.tsv'), config)
  return { base, config, records: records.slice(0, 8000), evaluated }
}

const rowOf = ({ ids, typeIds, ...more }: TaskExample): Row => {
  const { labels, answer } = more as { labels?: Uint32Array; answer?: readonly number[] }
  return { ids: [...ids], types: [...(typeIds ?? new Uint8Array(ids.length))], answer: [...(labels ?? answer ?? [])] }
}

/** Fills `folder`. @param base undefined for a small invented one */
export const prepare = async (job: Job, data: string, base: string | undefined, folder: string): Promise<Prepared> => {
  mkdirSync(folder, { recursive: true })
  const material = base === undefined ? await invented(job, folder) : await published(job, data, base)
  const task = taskOf(job)
  const headOptions = task.headOptions(statisticsOf(task, material.records), material.config)
  const { model } = await loadModelWithReport(material.base, {
    head: task.head,
    headOptions,
    dtype: 'float32',
    seed: 1,
  })
  await saveModel(model, join(folder, 'model'), { tokenizer: material.base })
  const parameters = model.parameterCount
  const tokenizer = await loadTokenizer(join(folder, 'model'))
  const prepared = task.prepare(tokenizer, material.config, { maxLength: job.length, headOptions: model.headOptions })
  const encoded = (records: readonly TaskRecord[]) =>
    records.flatMap((record) => prepared.encode(record)).filter((example) => rowOf(example).answer.length > 0)
  const examples = encoded(material.records).map(rowOf)
  createRandom('bench/examples').shuffle(examples)
  const evaluated = encoded(material.evaluated).map(rowOf)
  writeFileSync(join(folder, 'examples.json'), JSON.stringify({ examples, evaluated }))
  const applied = applyAdapter(model, job.adapter, { seed: 1 })
  const trained = applied.parameterCount
  if (!applied.inPlace) {
    // Fresh adapters change nothing: drawn ones show that both sides compute the same.
    const generator = new Generator(2)
    noGrad(() => {
      for (const [path, tensor] of applied.trainable)
        if (path.startsWith('body.')) tensor.detach().normal_(0, 0.05, { generator })
    })
    await saveAdapter(applied, join(folder, 'adapter'), { base: join(folder, 'model') })
  }
  let real = 0
  let padded = 0
  for (let i = 0; i + job.batch <= examples.length; i += job.batch) {
    const lengths = examples.slice(i, i + job.batch).map(({ ids }) => ids.length)
    real += lengths.reduce((sum, length) => sum + length, 0)
    padded += Math.max(...lengths) * job.batch
  }
  return { examples: examples.length, parameters, trained, fill: real / padded }
}
