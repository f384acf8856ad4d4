// Properties of examples and batches for rows of any shape: no token lost, no special token predicted, none beyond the limit.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import type { BodyInputs } from '../../src/models/index.ts'
import { objectives, type TextRow } from '../../src/objectives/index.ts'
import { scope, type Tensor } from '../../src/tensor/index.ts'
import { noOther, rowOf, vocabulary } from './small-models.ts'

const numbers = (tensor: Tensor | undefined) => [...(tensor?.toTypedArray() ?? [])].map(Number)

const shapes = fc.record({
  documents: fc.array(fc.array(fc.integer({ min: 1, max: 25 }), { minLength: 1, maxLength: 5 }), {
    minLength: 1,
    maxLength: 4,
  }),
  maxLength: fc.integer({ min: 4, max: 40 }),
  seed: fc.integer(),
  padded: fc.boolean(),
  multipleOf: fc.constantFrom(1, 8),
  separate: fc.boolean(),
})

type Shape = typeof shapes extends fc.Arbitrary<infer Value> ? Value : never

/** The values of a batch's places by sequence, without padding. */
const sequencesOf = ({ inputIds, attentionMask, starts }: BodyInputs, values: readonly number[]): number[][] => {
  if (starts !== undefined) {
    const edges = numbers(starts)
    return edges.slice(0, -1).map((start, i) => values.slice(start, edges[i + 1]))
  }
  const [rows, length] = inputIds.shape
  const mask = attentionMask === undefined ? values.map(() => 1) : numbers(attentionMask)
  return Array.from({ length: rows }, (_, row) =>
    values.slice(row * length, (row + 1) * length).filter((_, i) => mask[row * length + i] === 1),
  )
}

const checked = (check: (shape: Shape) => void) =>
  fc.assert(
    fc.property(shapes, (shape) => scope(() => check(shape))),
    { numRuns: 60, seed: 1 },
  )

it('masked language modelling masks any rows so that the labels restore them', () => {
  checked(({ documents, maxLength, seed, separate, ...how }) => {
    const { config, create } = objectives['masked-lm']
    const objective = create(
      config.parse({ documents: separate ? 'separate' : 'joined', wholeWords: seed % 2 === 0 }),
      {
        vocabulary,
        maxLength,
      },
    )
    const rows = documents.map((lengths, i) => rowOf(lengths, createRandom(`${seed}/${i}`)))
    const examples = rows.map((row, i) => objective.example(row, createRandom(seed).fork(`${i}`), noOther))
    const batch = objective.collate(examples, how) as ReturnType<typeof objective.collate> & {
      picked: Tensor
      labels: Tensor
    }
    const places = numbers(batch.picked)
    const labels = numbers(batch.labels)
    expect(places).toEqual([...new Set(places)].sort((a, b) => a - b))
    expect(places.length).toBe(
      examples.reduce<number>((sum, example) => sum + objective.weights(example)['masked-lm'], 0),
    )
    for (const label of labels) expect(vocabulary.specialIds.has(label)).toBe(false)
    const restored = numbers(batch.inputs.inputIds)
    places.forEach((place, i) => {
      restored[place] = labels[i]
    })
    const { inputIds } = batch.inputs
    const sequences = sequencesOf(batch.inputs, restored)
    const text: number[] = []
    for (const sequence of sequences) {
      expect(sequence[0]).toBe(vocabulary.cls)
      expect(sequence.at(-1)).toBe(vocabulary.sep)
      text.push(...sequence.filter((id) => !vocabulary.specialIds.has(id)))
    }
    expect(text).toEqual(rows.flatMap((row, i) => [...row.ids.slice(0, row.ids.length - objective.cut(examples[i]))]))
    for (const example of examples) expect(objective.tokens(example)).toBeLessThanOrEqual(maxLength)
    expect(batch.tokens).toBe(sequences.flat().length)
    if (how.padded) expect(inputIds.shape[1] % how.multipleOf).toBe(0)
  })
})

it('causal language modelling predicts each token from the one before it, and nothing across documents', () => {
  checked(({ documents, maxLength, seed, separate, ...how }) => {
    const { config, create } = objectives['causal-lm']
    const objective = create(config.parse({ documents: separate ? 'separate' : 'joined' }), { vocabulary, maxLength })
    const rows: TextRow[] = documents.map((lengths, i) => rowOf(lengths, createRandom(`${seed}/${i}`)))
    const examples = rows.map((row) => objective.example(row, createRandom(seed), noOther))
    const batch = objective.collate(examples, how) as ReturnType<typeof objective.collate> & { labels: Tensor }
    const { inputIds } = batch.inputs
    const labels = numbers(batch.labels)
    const sequences = sequencesOf(batch.inputs, numbers(inputIds))
    const targets = sequencesOf(batch.inputs, labels)
    const trained = labels.filter((label) => label !== -100).length
    expect(trained).toBe(examples.reduce<number>((sum, example) => sum + objective.weights(example)['causal-lm'], 0))
    expect(targets.flat().filter((label) => label !== -100).length).toBe(trained)
    // Each sequence with its last target is a run of text: documents, each ended by end-of-text unless cut.
    const runs = rows.flatMap((row) => {
      const ended = row.starts.map((start, i) => [...row.ids.slice(start, row.starts[i + 1]), vocabulary.eos as number])
      return separate ? ended : [ended.flat()]
    })
    let run = 0
    for (const [i, sequence] of sequences.entries()) {
      expect(targets[i].slice(0, -1)).toEqual(sequence.slice(1))
      const last = targets[i].at(-1) as number
      const seen = last === -100 ? sequence : [...sequence, last]
      while (run < runs.length && runs[run].slice(0, seen.length).join() !== seen.join()) run++
      expect(run, 'a sequence is the beginning of a run').toBeLessThan(runs.length)
      run++
    }
    for (const example of examples) expect(objective.tokens(example)).toBeLessThanOrEqual(maxLength)
  })
})
