// What the playground's page and its server say to each other. Only types, and independent of Node.

/** A model that the playground can ask. */
export interface PlaygroundModel {
  /** `given/NAME` for one of `--model`; else the run and `@model`, `@live`, or `@` and the step of a checkpoint. */
  id: string
  /** In words, such as `step 400`. */
  title: string
  kind: 'given' | 'finished' | 'checkpoint' | 'live'
  /** Step of its weights; null where it is not known, or changes. */
  step: number | null
}

/** Answer of `GET /api/playground/models`. */
export interface PlaygroundState {
  /** Models that the studio was started with. */
  given: PlaygroundModel[]
  /** Models in memory, and the maximum number of them. */
  loaded: { id: string; state: 'loading' | 'loaded'; memoryBytes: number | null }[]
  limit: number
}

/** Answer of `GET /api/runs/:run/models`: the one in training, the finished one, and the checkpoints, newest first. */
export interface RunModels {
  models: PlaygroundModel[]
}

/** Paths of the serving API that the playground asks. */
export type PlaygroundPath =
  | '/v1/chat/completions'
  | '/v1/completions'
  | '/v1/fill'
  | '/v1/classify'
  | '/v1/tokens'
  | '/v1/answer'
  | '/v1/embeddings'

/** Body of `POST /api/playground/ask`; the answer is that of the path, with the header `x-tunesmith-step` for a model in training. */
export interface PlaygroundRequest {
  model: string
  path: PlaygroundPath
  /** The body of the path, without its model. */
  request: Record<string, unknown>
}

/** Answer of `POST /api/playground/load`: what a model is and can be asked. */
export interface LoadedModel {
  id: string
  head: string
  labels: string[]
  mask: string | null
  parameters: number
  context: number
  paths: PlaygroundPath[]
}

/** A token with its log-probability. */
interface TokenChance {
  token: string
  logprob: number
}

/** A generated token with the likeliest ones at its place. */
export interface ShownToken extends TokenChance {
  alternatives: TokenChance[]
}
