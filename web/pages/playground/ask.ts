// Requests to models: whole answers, and answers that arrive piece by piece.
import type { PlaygroundPath, PlaygroundRequest, ShownToken } from '../../../src/serving/studio/types/api-types.ts'
import { eventsOf, postJson } from '../../api.ts'

/** What a model answered. */
export interface ModelAnswer {
  /** Step of its weights, of a model in training. */
  step: number | null
  body: unknown
}

/** A piece of a text that is generated. */
export interface TextPiece {
  text: string
  /** What a model thinks before its answer, which chats send apart from it. */
  reasoning: string
  /** Tokens of the text: those of reasoning are left out. */
  tokens: ShownToken[]
}

/** Step of a response of a model in training. */
const stepOf = (response: Response): number | null => {
  const step = response.headers.get('x-tunesmith-step')
  return step === null ? null : Number(step)
}

const send = (request: PlaygroundRequest, signal: AbortSignal): Promise<Response> =>
  postJson('/api/playground/ask', request, signal)

/** Asks for a whole answer. @throws RequestError */
export const ask = async (
  model: string,
  path: PlaygroundPath,
  request: Record<string, unknown>,
  signal: AbortSignal,
): Promise<ModelAnswer> => {
  const response = await send({ model, path, request }, signal)
  return { step: stepOf(response), body: await response.json() }
}

interface Chance {
  token: string
  logprob: number
}

/** A chunk of a chat, or of a completion. */
interface Chunk {
  error?: { message: string }
  choices?: {
    text?: string
    delta?: { content?: string | null; reasoning_content?: string | null }
    logprobs?: {
      content?: (Chance & { top_logprobs: Chance[] })[]
      tokens?: string[]
      token_logprobs?: number[]
      top_logprobs?: Record<string, number>[]
    } | null
  }[]
}

const pieceOf = ({ choices = [] }: Chunk): TextPiece => {
  const [{ text, delta, logprobs } = {}] = choices
  const chat = logprobs?.content?.map(({ token, logprob, top_logprobs: alternatives }) => ({
    token,
    logprob,
    alternatives: alternatives.map((one) => ({ token: one.token, logprob: one.logprob })),
  }))
  const completion = logprobs?.tokens?.map((token, i) => ({
    token,
    logprob: logprobs.token_logprobs?.[i] ?? 0,
    alternatives: Object.entries(logprobs.top_logprobs?.[i] ?? {}).map(([other, logprob]) => ({
      token: other,
      logprob,
    })),
  }))
  const reasoning = delta?.reasoning_content
  if (reasoning != null) return { text: '', reasoning, tokens: [] }
  return { text: text ?? delta?.content ?? '', reasoning: '', tokens: chat ?? completion ?? [] }
}

/** Asks for a text, piece by piece. @throws RequestError, and an error for a stream that breaks off */
export const askText = async (
  model: string,
  path: PlaygroundPath,
  request: Record<string, unknown>,
  {
    signal,
    onStart,
    onPiece,
  }: { signal: AbortSignal; onStart(step: number | null): void; onPiece(piece: TextPiece): void },
): Promise<void> => {
  const response = await send({ model, path, request: { ...request, stream: true } }, signal)
  onStart(stepOf(response))
  for await (const data of eventsOf(
    response.body!,
    'The connection was lost before the end of the answer. Ask again.',
  )) {
    if (data === '[DONE]') return
    const chunk = JSON.parse(data) as Chunk
    if (chunk.error !== undefined) throw new Error(chunk.error.message)
    onPiece(pieceOf(chunk))
  }
  throw new Error('The answer broke off: the model or the studio has ended. Ask again.')
}
