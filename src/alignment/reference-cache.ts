// Log-probabilities of a reference that are computed once and kept on disk, by the content of the completions and the weights of the
// reference: with all of them computed before training, the reference model need not stay in memory.
import { createHash } from 'node:crypto'
import { RowCache, rowKey } from '../checkpoint/index.ts'
import { ConfigError } from '../core/index.ts'
import { type Model, quantizationOf } from '../models/index.ts'
import { scope } from '../tensor/index.ts'
import { type CompletionTokens, completionLength } from './log-probs.ts'
import type { Reference } from './reference.ts'
import { inShares, type ScoreCompletionsOptions } from './score-completions.ts'

/** A reference with a cache. */
export interface CachedReference extends Reference {
  /**
   * Computes everything that is not cached yet, and writes it. Afterwards `release` may free the reference model.
   * @returns the number of completions that were computed
   */
  precompute(completions: readonly CompletionTokens[], options: ScoreCompletionsOptions): Promise<number>
  /** From now on only what is cached can be read. */
  release(): void
  /** Writes what is still in memory. */
  flush(): Promise<void>
  /** Files that were damaged and removed. */
  readonly damaged: readonly string[]
}

/** Where and for which weights log-probabilities are cached. */
export interface ReferenceCacheOptions {
  /** Folder of the cache (default: in memory only). */
  folder?: string
  /** Hash of the reference's weights and precision, such as `hashWeights` gives. */
  identity: string
}

/** SHA-256 of all parameters of a model. @throws ConfigError for a quantised model, whose files are to be hashed instead */
export const hashWeights = (model: Model): string => {
  if (quantizationOf(model) !== undefined)
    throw new ConfigError('Expected a model that is not quantised to hash, got a quantised one. Hash its files.')
  const hash = createHash('sha256')
  for (const [path, parameter] of model.parameters())
    scope(() => {
      hash.update(`${path} ${parameter.dtype} ${parameter.shape.join()}\n`)
      const values = parameter.detach().contiguous().toTypedArray()
      hash.update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    })
  return hash.digest('hex')
}

const keyOf = ({ ids, promptTokens }: CompletionTokens): string => rowKey([ids, Uint32Array.of(promptTokens)])

/** Completions that are computed before their values are written, so that a kill costs little work. */
const chunk = 256

/** Caches the log-probabilities of a reference, whose weights must stay as they are. */
export const cachedReference = async (
  reference: Reference,
  { folder, identity }: ReferenceCacheOptions,
): Promise<CachedReference> => {
  // One cache per temperature, since log-probabilities depend on it.
  const caches = new Map<number, RowCache>()
  const cacheFor = async (temperature = 1): Promise<RowCache> => {
    const known = caches.get(temperature)
    if (known !== undefined) return known
    const about = { version: 1, kind: 'reference log-probabilities', weights: identity, temperature }
    const opened = await RowCache.open(folder, about, 1)
    caches.set(temperature, opened)
    return opened
  }
  await cacheFor()
  let source: Reference | undefined = reference

  /** Computes what is not cached. @returns it by key */
  const complete = async (completions: readonly CompletionTokens[], options: ScoreCompletionsOptions) => {
    const cache = await cacheFor(options.temperature)
    const missing = new Map<string, CompletionTokens>()
    for (const completion of completions) {
      const key = keyOf(completion)
      if (completionLength(completion) > 0 && !cache.has(key)) missing.set(key, completion)
    }
    const computed = new Map<string, Float32Array>()
    if (missing.size === 0) return computed
    if (source === undefined)
      throw new ConfigError(
        `The reference model is not in memory, and ${missing.size} completions are not in its cache: compute all of them before training.`,
      )
    const work = [...missing]
    // Similar lengths together, for little padding; in packed rows answers to one prompt stay together.
    if (options.padded) work.sort(([, a], [, b]) => a.ids.length - b.ids.length)
    for (let from = 0; from < work.length; from += chunk) {
      const part = work.slice(from, from + chunk)
      const values = await source.logProbs(
        part.map(([, completion]) => completion),
        options,
      )
      for (const [i, [key]] of part.entries()) {
        computed.set(key, values[i])
        await cache.add(key, values[i])
      }
    }
    return computed
  }
  const flush = async () => {
    for (const cache of caches.values()) await cache.flush()
  }

  return {
    summary: `${reference.summary}, cached`,
    get readsPolicy() {
      return source?.readsPolicy ?? false
    },
    get damaged() {
      return [...caches.values()].flatMap(({ damaged }) => damaged)
    },
    precompute: async (completions, options) => {
      // Both answers to a prompt are neighbours: the prompt is computed once.
      const { size } = await complete(completions, { shared: true, ...options })
      await flush()
      return size
    },
    release: () => {
      source = undefined
    },
    flush,
    // Processes divide what is asked for, not what is missing: their caches may differ.
    logProbs: (completions, { share, ...options }) =>
      inShares(
        completions,
        { share },
        {
          async work(own) {
            const computed = await complete(own, options)
            const cache = await cacheFor(options.temperature)
            return own.map((completion): Float32Array => {
              if (completionLength(completion) === 0) return new Float32Array(0)
              const key = keyOf(completion)
              return computed.get(key) ?? scope(() => cache.gather([key]).toFloat32Array())
            })
          },
          standIn: (completion) => new Float32Array(completionLength(completion)),
        },
      ),
  }
}
