// The registry of architectures, and what other folders may use of models.
import { bert } from './bert.ts'
import { gpt2 } from './gpt2.ts'
import { llama } from './llama.ts'

export const models = { bert, gpt2, llama } as const
export type ModelType = keyof typeof models

export { Body, type BodyFacts, type BodyInputs, type BodyOutputs, type KeyRule, type ModelDefinition } from './model.ts'
