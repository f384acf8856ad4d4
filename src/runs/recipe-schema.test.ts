import { describe, expect, it } from 'vitest'
import { type RecipeCommand, recipeJsonSchema } from './recipe-schema.ts'

type Json = Record<string, never>
const settingsFor = (command: RecipeCommand, choice: string, type: string): Json => {
  const { allOf } = recipeJsonSchema(command) as { allOf: { if: unknown; then: Json }[] }
  const found = allOf.find(({ if: condition }) => JSON.stringify(condition).includes(`"${choice}":{"const":"${type}"}`))
  expect(found).toBeDefined()
  return found?.then as Json
}

describe('the JSON schema of recipes', () => {
  it('has every key with its help and its default, and only the keys without default are required', () => {
    const schema = recipeJsonSchema('finetune')
    expect(schema).toMatchObject({
      type: 'object',
      additionalProperties: false,
      required: ['base', 'task', 'data', 'out'],
      properties: {
        seed: { type: 'integer', default: 0, description: expect.stringContaining('random seed') },
        evaluate: { properties: { steps: { type: 'integer' } } },
      },
    })
  })

  it('has the settings of the chosen variant, task and architecture', () => {
    expect(settingsFor('finetune', 'variant', 'lora')).toMatchObject({
      properties: { adapter: { additionalProperties: false, properties: { rank: { type: 'integer' } } } },
    })
    expect(settingsFor('finetune', 'task', 'sequence-classification')).toMatchObject({
      properties: { settings: { properties: { multiLabel: { type: 'boolean' } } } },
    })
    expect(settingsFor('pretrain', 'type', 'bert')).toMatchObject({
      properties: { model: { properties: { config: { properties: { hiddenSize: { type: 'integer' } } } } } },
    })
  })

  it('is refused for a command without recipes', () => {
    expect(() => recipeJsonSchema('pretrian' as RecipeCommand)).toThrow(/Did you mean `pretrain`/)
  })
})
