// Tasks with small models of random weights and invented records, one for each form of loss.
import { buildModel, models } from '../../src/models/index.ts'
import { statisticsOf, type TaskDefinition, type TaskRecord, taskConfig, tasks } from '../../src/tasks/index.ts'
import { Generator } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { wordTokenizer } from './word-tokenizer.ts'

export const words = [
  '[PAD]',
  '[UNK]',
  '[CLS]',
  '[SEP]',
  ...'abcdefghijklmnopqrstuvwxyz'.split(''),
  ...'abcdefghij'.split('').map((letter) => `##${letter}`),
  '.',
  ',',
]
export const tokenizer = wordTokenizer(words)

const at = { file: 'x', line: 1 }
const plain = { text: 'a b c', pair: undefined }
// One case for each form of loss.
export const cases: { name: string; type: keyof typeof tasks; settings: object; records: TaskRecord[] }[] = [
  {
    name: 'one class',
    type: 'sequence-classification',
    settings: { pair: 'pair' },
    records: ['a b', 'c d e f', 'g', 'h i j'].map((words, i) => ({
      id: `${i}`,
      ...at,
      text: words,
      pair: words.slice(0, 1 + i),
      labels: [i % 2 ? 'x' : 'y'],
    })),
  },
  {
    name: 'weighted and smoothed classes',
    type: 'sequence-classification',
    settings: { classWeights: { x: 3 }, labelSmoothing: 0.1 },
    records: ['a b', 'c d e f', 'g'].map((words, i) => ({
      id: `${i}`,
      ...at,
      ...plain,
      text: words,
      labels: [i % 2 ? 'x' : 'y'],
    })),
  },
  {
    name: 'several labels',
    type: 'sequence-classification',
    settings: { multiLabel: true },
    records: [['x', 'y'], [], ['z']].map((labels, i) => ({
      id: `${i}`,
      ...at,
      ...plain,
      text: 'abc'.slice(i),
      labels,
    })),
  },
  {
    name: 'numbers',
    type: 'regression',
    settings: {},
    records: [1.5, 0, 4].map((value, i) => ({ id: `${i}`, ...at, ...plain, text: 'a b c'.slice(2 * i), value })),
  },
  {
    name: 'tags',
    type: 'token-classification',
    settings: { stride: 2, classWeights: { O: 0.5 } },
    records: [['ab', 'c', 'de'], ['f'], 'a b c d e f g h i j k l m n'.split(' ')].map((tokens, i) => ({
      id: `${i}`,
      ...at,
      tokens,
      tags: tokens.map((_, k) => (k % 3 ? 'O' : 'B-X')),
    })),
  },
  {
    name: 'answers',
    type: 'extractive-qa',
    settings: { stride: 2, maxQuestionTokens: 3 },
    records: ['a b c d e f g h i j k l m', 'a b', 'x y z'].map((context, i) => ({
      id: `${i}`,
      ...at,
      question: 'a b',
      context,
      answers: i === 2 ? [] : [{ text: context.slice(2, 3), start: 2 }],
    })),
  },
  {
    name: 'choices',
    type: 'multiple-choice',
    settings: {},
    records: [
      ['a', 'b c', 'd'],
      ['e f g', 'h'],
    ].map((choices, i) => ({ id: `${i}`, ...at, text: 'x y', choices, answer: i })),
  },
]

export const built = ({ type, settings, records }: (typeof cases)[number], seed = 5) => {
  const task = tasks[type] as unknown as TaskDefinition
  const config = taskConfig(task, settings as { [name: string]: unknown })
  const headOptions = task.headOptions(statisticsOf(task, records), config)
  const bert = models.bert.adjust({} as never, {
    vocabSize: words.length,
    hiddenSize: 16,
    numLayers: 2,
    numHeads: 2,
    intermediateSize: 32,
    maxPositions: 32,
    hiddenDropout: 0,
    attentionDropout: 0,
  })
  const model = buildModel(models.bert as never, bert, [task.head].flat()[0], { ...headOptions, dropout: 0 })
  const generator = new Generator(seed)
  model.initialize({ std: 0.3, generator }).to({ device: testDevice })
  model.requireGrad(true)
  const prepared = task.prepare(tokenizer, config, {
    maxLength: 12,
    headOptions,
    trainedOn: statisticsOf(task, records),
  })
  const examples = records.flatMap((record) => prepared.encode(record))
  return { task, config, model, prepared, examples }
}
