// Tasks that learn from a teacher: the loss of each form of prediction is that of its definition, the same in packed and padded batches and
// in parts, and 0 where the student is its own teacher.
import { describe, expect, it } from 'vitest'
import { distilled, type Teacher } from '../../src/objectives/index.ts'
import { expectDiscriminative, type TaskExample } from '../../src/tasks/index.ts'
import { gradients, noGrad, scope, setThreads } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { built, cases } from './learning-cases.ts'

setThreads(1)

type Numbers = readonly number[]

const softmax = (logits: Numbers, temperature: number): number[] => {
  const powers = logits.map((logit) => Math.exp(logit / temperature))
  const sum = powers.reduce((total, one) => total + one, 0)
  return powers.map((power) => power / sum)
}

/** KL(p ‖ q), times the square of the temperature. */
const forward = (own: Numbers, theirs: Numbers, temperature: number): number => {
  const [q, p] = [softmax(own, temperature), softmax(theirs, temperature)]
  return temperature ** 2 * p.reduce((sum, value, i) => sum + value * Math.log(value / q[i]), 0)
}

/** The divergence of an example by its definition, from its logits: rows of tokens or of sequences, flattened. */
type Definition = (own: Numbers, theirs: Numbers, temperature: number, example: Record<string, unknown>) => number

const chunked = (values: Numbers, width: number): number[][] =>
  Array.from({ length: values.length / width }, (_, i) => values.slice(i * width, (i + 1) * width))
const column = (values: Numbers, which: number) => values.filter((_, i) => i % 2 === which)

const definitions: Record<string, Definition> = {
  'one class': forward,
  // Class 0 is x, whose weight is 3.
  'weighted and smoothed classes': (own, theirs, temperature, { labels }) =>
    ((labels as Uint32Array)[0] === 0 ? 3 : 1) * forward(own, theirs, temperature),
  'several labels': (own, theirs, temperature) =>
    own.reduce((sum, logit, i) => sum + forward([logit, 0], [theirs[i], 0], temperature), 0),
  numbers: (own, theirs) => own.reduce((sum, value, i) => sum + (value - theirs[i]) ** 2, 0),
  // Tags O (weight 0.5) is the last one by name.
  tags: (own, theirs, temperature, { labels }) => {
    const tags = labels as Int32Array
    const width = own.length / tags.length
    const rows = [chunked(own, width), chunked(theirs, width)]
    return tags.reduce(
      (sum, tag, i) =>
        sum + (tag === -100 ? 0 : (tag === tagO ? 0.5 : 1) * forward(rows[0][i], rows[1][i], temperature)),
      0,
    )
  },
  answers: (own, theirs, temperature, { answer }) =>
    answer === undefined
      ? 0
      : [0, 1].reduce((sum, which) => sum + forward(column(own, which), column(theirs, which), temperature) / 2, 0),
  choices: forward,
}
const tagO = built(cases.find(({ name }) => name === 'tags')!).model.headOptions.labels.indexOf('O')

describe.each(cases)('$name', (one) => {
  const { model, prepared, examples } = built(one)
  const { model: other } = built(one, 7)
  other.requireGrad(false).eval()
  const split = expectDiscriminative(prepared).split
  const learned = (more: Partial<Teacher> = {}) =>
    distilled(prepared.criterion, {
      model: other,
      weight: 0.4,
      temperature: 2,
      divergence: 'forward-kl',
      ...more,
    })
  const step = (part: readonly TaskExample[], padded: boolean, more: Partial<Teacher> = {}) =>
    scope(() => {
      const criterion = learned(more)
      const { terms } = criterion.loss(model, criterion.collate(part, { padded, device: testDevice }))
      const total = terms.map(({ sum, scale }) => sum.mul(scale)).reduce((sum, term) => sum.add(term))
      const parameters = [...model.parameters().values()]
      const found = gradients([total], parameters).map((gradient) => gradient && Array.from(gradient.toFloat32Array()))
      return {
        terms: terms.map(({ name, sum, weight, scale }) => ({ name, sum: sum.item(), weight, scale })),
        found,
      }
    })

  it('has the divergence of its definition', () => {
    const expected = scope(() =>
      noGrad(() => {
        const batch = prepared.criterion.collate(examples, { padded: true, device: testDevice })
        const [own, theirs] = [model, other].map((each) => split(each.forward(batch.inputs).logits, batch))
        return examples.reduce(
          (sum, example, i) =>
            sum + definitions[one.name](Array.from(own[i]), Array.from(theirs[i]), 2, { ...example }),
          0,
        )
      }),
    )
    const [targets, taught] = step(examples, true).terms
    expect(targets.scale).toBeCloseTo(0.6)
    expect(taught).toMatchObject({ name: 'distillation', weight: targets.weight, scale: 0.4 })
    expect(expected).toBeGreaterThan(1e-3)
    expect(Math.abs(taught.sum - expected)).toBeLessThan(1e-4 * expected + 1e-6)
  })

  it('has the same loss and gradients padded, packed and in parts', () => {
    const padded = step(examples, true)
    const packed = step(examples, false)
    const parts = examples.map((example) => step([example], false))
    for (const [i, { sum }] of padded.terms.entries()) {
      expect(packed.terms[i].sum).toBeCloseTo(sum, 4)
      expect(parts.reduce((total, { terms }) => total + terms[i].sum, 0)).toBeCloseTo(sum, 3)
    }
    for (const [i, gradient] of padded.found.entries())
      gradient?.forEach((value, k) => {
        expect(Math.abs(value - packed.found[i]![k])).toBeLessThan(1e-4)
      })
    const weights = examples.map((example) => learned().weights(example).distillation)
    expect(weights.reduce((sum, weight) => sum + weight, 0)).toBeCloseTo(padded.terms[1].weight, 5)
  })

  it('differs by nothing from itself, and teaches nothing then', () => {
    for (const divergence of ['forward-kl', 'reverse-kl', 'jensen-shannon'] as const) {
      const { terms, found } = step(examples, false, { model, weight: 1, divergence })
      expect(Math.abs(terms[1].sum)).toBeLessThan(1e-4)
      for (const gradient of found) for (const value of gradient ?? []) expect(Math.abs(value)).toBeLessThan(1e-4)
    }
  })
})
