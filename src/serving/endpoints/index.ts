// The registry of endpoints.

import { chatCompletions } from './chat.ts'
import { completions } from './completions.ts'
import type { Endpoint } from './endpoint.ts'
import { health, listModels, loadAdapterByName, metrics, showModel, unloadAdapterByName } from './models.ts'
import { responses } from './responses.ts'
import { rerank, score } from './scores.ts'
import { answers, classify, embeddings, fill, tokens } from './text-tasks.ts'
import { applyTemplate, detokenize, tokenize } from './tokenizing.ts'

export const endpoints: readonly Endpoint[] = [
  health,
  metrics,
  listModels,
  showModel,
  chatCompletions,
  completions,
  responses,
  embeddings,
  classify,
  tokens,
  answers,
  score,
  rerank,
  fill,
  tokenize,
  detokenize,
  applyTemplate,
  loadAdapterByName,
  unloadAdapterByName,
]
