// Heads that score labels, tokens and rows, in every architecture: float32 whatever the weights are, in both directions.
import { describe, expect, it } from 'vitest'
import { defaultDevice, Generator, tensor } from '../../tensor/index.ts'
import { buildModel, type HeadType, headsOf, type ModelDefinition, models } from '../index.ts'

const scoring: readonly HeadType[] = [
  'sequence-classification',
  'token-classification',
  'question-answering',
  'multiple-choice',
  'reward',
]
const cases = Object.entries(models as unknown as Record<string, ModelDefinition>).flatMap(([type, definition]) => {
  const config = definition.adjust(definition.presets.test, {})
  const heads = headsOf(definition, config)
  return scoring.filter((head) => heads[head] !== undefined).map((head) => ({ type, head, definition, config }))
})

describe('a score layer', () => {
  it.each(cases)('$type, $head: scores in float32 from weights in bfloat16', ({ definition, config, head }) => {
    const model = buildModel(definition, config, head).eval()
    model.initialize({ std: 0.2, generator: new Generator(1) })
    model.to({ dtype: 'bfloat16', device: defaultDevice() })
    model.requireGrad(true)
    const row = [5, 9, 12, 7, 11, 1]
    const inputIds = tensor(head === 'multiple-choice' ? [[row, row.toReversed()]] : [row, row.toReversed()], {
      dtype: 'int64',
      device: defaultDevice(),
    })
    const { logits } = model.forward({ inputIds })
    expect(logits.dtype).toBe('float32')
    const rounded = logits.to('bfloat16').to('float32')
    expect(logits.sub(rounded).abs().max().item()).toBeGreaterThan(0)
    logits.square().sum().backward()
    const weights = [...model.head.parameters()].filter(([path]) => path.endsWith('classifier.weight'))
    expect(weights).toHaveLength(1)
    const [[, weight]] = weights
    expect(weight.grad?.dtype).toBe('bfloat16')
    expect(weight.grad?.to('float32').abs().max().item()).toBeGreaterThan(0)
  })
})
