// What scores are held against: answers without a model, on small records whose scores are counted by hand.
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import {
  scoreRecords,
  statisticsOf,
  type TaskDefinition,
  type TaskRecord,
  taskConfig,
  tasks,
} from '../../src/tasks/index.ts'

const place = (i: number) => ({ id: String(i), file: 'data', line: i + 1 })
const listOf = <Fields extends object>(all: readonly Fields[]) => all.map((fields, i) => ({ ...place(i), ...fields }))

interface Case {
  name: string
  task: keyof typeof tasks
  settings?: object
  trained: TaskRecord[]
  records: TaskRecord[]
  /** Fields of a record that say what is right. */
  gold: string
  names: string[]
  /** Scores of the first baselines, by name. */
  scores: { [baseline: string]: { [metric: string]: number } }
}

const sentence = (text: string) => {
  const pairs = text.split(' ').map((pair) => pair.split('/'))
  return { tokens: pairs.map(([word]) => word), tags: pairs.map(([, tag]) => tag) }
}
const question = (context: string, answer?: string) => ({
  question: 'what?',
  context,
  answers: answer === undefined ? [] : [{ text: answer, start: context.indexOf(answer) }],
})

const cases: Case[] = [
  {
    name: 'classes',
    task: 'sequence-classification',
    trained: listOf([
      { text: 'x', labels: ['a'] },
      { text: 'y', labels: ['b'] },
      { text: 'z', labels: ['b'] },
    ]),
    records: listOf(['b', 'b', 'b', 'a'].map((label) => ({ text: 'q', labels: [label] }))),
    gold: 'labels',
    names: ['majority class', 'random class'],
    scores: { 'majority class': { accuracy: 0.75 } },
  },
  {
    name: 'several labels',
    task: 'sequence-classification',
    settings: { multiLabel: true },
    trained: listOf([
      { text: 'x', labels: ['a', 'b'] },
      { text: 'y', labels: ['b'] },
      { text: 'z', labels: [] },
    ]),
    records: listOf([['b'], ['a', 'b'], [], ['a']].map((labels) => ({ text: 'q', labels }))),
    gold: 'labels',
    names: ['most frequent labels', 'random labels'],
    // "b" for all: two of four are right, and two of the four labels are found.
    scores: { 'most frequent labels': { f1Micro: 0.5, accuracy: 0.25 } },
  },
  {
    name: 'numbers',
    task: 'regression',
    trained: listOf([1, 2, 6].map((value) => ({ text: 'x', value }))),
    records: listOf([2, 4].map((value) => ({ text: 'x', value }))),
    gold: 'value',
    names: ['mean', 'random value'],
    scores: { mean: { meanAbsoluteError: 1 } },
  },
  {
    name: 'tags',
    task: 'token-classification',
    trained: listOf(['Rome/B-LOC is/O old/O', 'Rome/B-LOC Rome/O ./O'].map(sentence)),
    records: listOf(['Rome/B-LOC is/O', 'Paris/B-LOC is/O'].map(sentence)),
    gold: 'tags',
    names: ['most frequent tag', "each word's most frequent tag", 'random tag'],
    scores: {
      'most frequent tag': { f1: 0, tokenAccuracy: 0.5 },
      "each word's most frequent tag": { f1: 2 / 3, tokenAccuracy: 0.75 },
    },
  },
  {
    name: 'questions',
    task: 'extractive-qa',
    trained: listOf([question('one two three', 'two')]),
    records: listOf([question('a b c', 'b'), question('d e f')]),
    gold: 'answers',
    names: ['no answer', 'random words'],
    scores: { 'no answer': { exactMatch: 0.5, f1: 0.5 } },
  },
  {
    name: 'choices',
    task: 'multiple-choice',
    trained: listOf([1, 1, 0].map((answer) => ({ text: 'x', choices: ['p', 'q'], answer }))),
    records: listOf([
      { text: 'x', choices: ['long', 'l'], answer: 0 },
      { text: 'x', choices: ['l', 'long'], answer: 1 },
    ]),
    gold: 'answer',
    names: ['most frequent position', 'longest choice', 'random choice'],
    scores: { 'most frequent position': { accuracy: 0.5 }, 'longest choice': { accuracy: 1 } },
  },
]

describe.each(cases)('baselines of $name', ({ task: type, settings, trained, records, gold, names, scores }) => {
  const task = tasks[type] as unknown as TaskDefinition
  const config = taskConfig(task, { ...settings })
  const made = (asked: readonly TaskRecord[]) =>
    task.baselines!(statisticsOf(task, trained), config, createRandom('baselines')).map(({ name, predict }) => ({
      name,
      predictions: asked.map(predict),
    }))

  it('have the scores counted by hand', () => {
    const found = made(records)
    expect(found.map(({ name }) => name)).toEqual(names)
    for (const [name, expected] of Object.entries(scores)) {
      const { predictions } = found.find((one) => one.name === name)!
      expect(scoreRecords(task, records, predictions, config).scores()).toMatchObject(
        Object.fromEntries(Object.entries(expected).map(([metric, value]) => [metric, expect.closeTo(value, 12)])),
      )
    }
  })

  it('do not depend on the references, and are deterministic', () => {
    const asked = records.map((record) => ({ ...record, [gold]: undefined }))
    expect(made(asked)).toEqual(made(records))
    for (const { predictions } of made(records))
      expect(predictions.map(({ id }) => id)).toEqual(records.map(({ id }) => id))
  })
})
