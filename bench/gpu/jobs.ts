// What is timed on a card: the models with their shapes, on our side and as transformers calls them. Both sides learn from rows of random
// ids from random weights, as neither changes the speed.
import type { ModelType } from '../../src/models/index.ts'
import type { ObjectiveType } from '../../src/objectives/index.ts'

export interface GpuJob {
  type: ModelType
  config: Record<string, number | boolean>
  /** The class of transformers' configuration, and its settings. */
  peer: { config: string; settings: Record<string, number | boolean> }
  objective: ObjectiveType
  /** Rows of a step, and tokens of a row. */
  batch: number
  length: number
  /** Train a LoRA of this rank on queries and values, on a frozen base. */
  rank?: number
}

const noDropout = { embeddingDropout: 0, hiddenDropout: 0, attentionDropout: 0 }
const gptPeer = { attn_pdrop: 0, embd_pdrop: 0, resid_pdrop: 0 }
const bertPeer = { hidden_dropout_prob: 0, attention_probs_dropout_prob: 0 }
const llamaSizes = { vocabSize: 32_000, hiddenSize: 2048, numLayers: 22, numHeads: 32, numKvHeads: 4 }

export const gpuJobs: Record<string, GpuJob> = {
  'gpt2-small': {
    type: 'gpt2',
    config: { vocabSize: 50_257, maxPositions: 512, ...noDropout },
    peer: { config: 'GPT2Config', settings: { vocab_size: 50_257, n_positions: 512, ...gptPeer } },
    objective: 'causal-lm',
    batch: 8,
    length: 512,
  },
  'bert-base': {
    type: 'bert',
    config: { vocabSize: 30_522, hiddenDropout: 0, attentionDropout: 0 },
    peer: { config: 'BertConfig', settings: { vocab_size: 30_522, ...bertPeer } },
    objective: 'masked-lm',
    batch: 32,
    length: 128,
  },
  'llama-1b-lora': {
    type: 'llama',
    config: { ...llamaSizes, intermediateSize: 5632, maxPositions: 2048 },
    peer: {
      config: 'LlamaConfig',
      settings: {
        ...{ vocab_size: 32_000, hidden_size: 2048, num_hidden_layers: 22, num_attention_heads: 32 },
        ...{ num_key_value_heads: 4, intermediate_size: 5632, max_position_embeddings: 2048 },
      },
    },
    objective: 'causal-lm',
    batch: 4,
    length: 512,
    rank: 16,
  },
}

/** The model that decodes, and rows with tokens of a prompt. */
export const decoding = { job: 'llama-1b-lora', rows: [1, 16], prompt: 32, newTokens: 64 }

type Sizes = Record<string, number>

/** Sizes of a tiny model of each type, on our side and in the words of transformers. */
const tinySizes: Record<string, { ours: Sizes; peer: Sizes }> = {
  gpt2: { ours: {}, peer: { n_positions: 64, n_embd: 64, n_layer: 2, n_head: 2 } },
  bert: { ours: { intermediateSize: 128 }, peer: { max_position_embeddings: 64, intermediate_size: 128 } },
  llama: {
    ours: { intermediateSize: 128, numKvHeads: 1 },
    peer: { max_position_embeddings: 64, intermediate_size: 128, num_key_value_heads: 1 },
  },
}

/** A job at which a smoke run shows that everything works. */
const tiny = (job: GpuJob): GpuJob => {
  const sizes = { vocabSize: 512, hiddenSize: 64, numLayers: 2, numHeads: 2, maxPositions: 64 }
  const { ours, peer } = tinySizes[job.type]
  const common: Sizes = job.type === 'gpt2' ? {} : { hidden_size: 64, num_hidden_layers: 2, num_attention_heads: 2 }
  const settings = { ...job.peer.settings, vocab_size: 512, ...common, ...peer }
  return {
    ...job,
    config: { ...job.config, ...sizes, ...ours },
    peer: { ...job.peer, settings },
    batch: 2,
    length: 16,
    ...(job.rank === undefined ? {} : { rank: 4 }),
  }
}

/** The job of a name. @throws for an unknown one */
export const gpuJob = (name: string, smoke: boolean): GpuJob => {
  const job = gpuJobs[name]
  if (job === undefined) throw new Error(`Expected a job (${Object.keys(gpuJobs).join(', ')}), got ${name}.`)
  return smoke ? tiny(job) : job
}
