// The registry of endpoints.
import { chatCompletions } from './chat.ts'
import { completions } from './completions.ts'
import type { Endpoint } from './endpoint.ts'
import { health, listModels, metrics, showModel } from './models.ts'

export const endpoints: readonly Endpoint[] = [health, metrics, listModels, showModel, chatCompletions, completions]
