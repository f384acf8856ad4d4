import { expect, it } from 'vitest'
import { recipeParts } from './recipe-parts.ts'

it('of every kind of run write checkpoints by time and at the end of epochs, unless told otherwise', () => {
  const kinds = Object.entries(recipeParts())
  expect(kinds.map(([kind]) => kind).sort()).toEqual(['align', 'finetune', 'multitask', 'pretrain'])
  for (const [kind, { schema }] of kinds)
    expect(schema.shape.checkpoint?.safeParse(undefined), kind).toEqual({
      success: true,
      data: { minutes: 5, epochs: 1 },
    })
})
