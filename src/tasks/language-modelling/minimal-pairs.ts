// Minimal pairs: whether a model assigns the good sentence a higher probability than the bad one; masked models use the
// pseudo-likelihood. @source Warstadt et al. 2020, arXiv:1912.00582; Salazar et al. 2020, arXiv:1910.14659

import { basename } from 'node:path'
import { z } from 'zod'
import { ConfigError, createRandom, DataError, parseConfig, parseJson } from '../../core/index.ts'
import { expandFiles, tarFiles, wholeFile } from '../../files/index.ts'
import { vocabularyFacts } from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { bootstrapFields, bootstrapMean, type Interval } from '../metrics/bootstrap.ts'
import type { WorkHooks } from '../task.ts'
import { causalPieces, pseudoPieces, unscoredIds } from './documents.ts'
import { type Piece, type ScoredModel, scorePieces } from './scoring.ts'
import { defaultLength, vocabularyFaults } from './settings.ts'

/** Settings of `evaluateMinimalPairs`. */
export const minimalPairsSchema = z.strictObject({
  maxPairs: z
    .number()
    .int()
    .positive()
    .optional()
    .describe('maximum pairs per paradigm, sampled by the seed (default: all)'),
  batchTokens: z.number().int().positive().default(8192).describe('tokens per batch'),
  ...bootstrapFields,
  seed: z.union([z.number().int(), z.string()]).default(0).describe('seed of the sample of pairs and of the bootstrap'),
})

/** Accuracies on minimal pairs. */
export interface MinimalPairsResult {
  /** Mean over paradigms, as in BLiMP; chance is 0.5, and a tie counts half. */
  accuracy: Interval
  paradigms: Record<string, Interval & { pairs: number; field?: string }>
  /** Mean over the paradigms of each field. */
  fields: Record<string, Interval & { paradigms: number }>
  pairs: number
  seconds: number
}

/** Progress and cancellation. */
export interface MinimalPairsHooks extends WorkHooks {
  onProgress?: (progress: { pairs: number; totalPairs: number }) => void
}

/** Relative differences below this are float32 rounding errors: a tie. */
const roundingShare = 1e-6

interface SentencePiece extends Piece {
  pair: number
  /** 1 for the good sentence, -1 for the bad one. */
  sign: number
}

/** Evaluates on files of pairs (`.jsonl`, or folders or tar archives of these), or on given pairs. @throws ConfigError, DataError */
export const evaluateMinimalPairs = async (
  model: ScoredModel,
  tokenizer: Tokenizer,
  from: readonly string[] | readonly MinimalPair[],
  settings: z.input<typeof minimalPairsSchema> = {},
  { onProgress, signal, group }: MinimalPairsHooks = {},
): Promise<MinimalPairsResult> => {
  const { maxPairs, batchTokens, ...intervals } = parseConfig(minimalPairsSchema, settings, 'minimal-pairs')
  const faults = vocabularyFaults(model.facts, tokenizer)
  if (faults.length > 0) throw new ConfigError(faults)
  const started = performance.now()
  const pairs = choose(await gather(from), maxPairs, intervals.seed)
  if (pairs.length === 0) throw new DataError('Expected minimal pairs, got none. Check the path.')

  const differences = new Float64Array(pairs.length)
  const sizes = new Float64Array(pairs.length)
  let done = 0
  for await (const [piece, { logProbability }] of scorePieces(model, piecesOf(pairs, model, tokenizer), {
    batchTokens,
    signal,
    group,
  })) {
    differences[piece.pair] += piece.sign * logProbability
    sizes[piece.pair] += Math.abs(logProbability)
    if (piece.pair > done) onProgress?.({ pairs: (done = piece.pair), totalPairs: pairs.length })
  }
  onProgress?.({ pairs: pairs.length, totalPairs: pairs.length })

  const groups = new Map<string, { right: number[]; field: string | undefined }>()
  pairs.forEach(({ paradigm, field }, i) => {
    const group = groups.get(paradigm) ?? { right: [], field }
    group.right.push(Math.abs(differences[i]) <= roundingShare * sizes[i] ? 0.5 : Number(differences[i] > 0))
    groups.set(paradigm, group)
  })
  const meanOf = (rights: readonly number[][]) =>
    bootstrapMean(
      rights.map((right) => ({ numerators: right, denominators: right.map(() => 1) })),
      intervals,
    )
  const all = [...groups]
  const fieldNames = [...new Set(all.map(([, { field }]) => field))].filter((field) => field !== undefined)
  return {
    accuracy: meanOf(all.map(([, { right }]) => right)),
    paradigms: Object.fromEntries(
      all.map(([paradigm, { right, field }]) => [
        paradigm,
        { ...meanOf([right]), pairs: right.length, ...(field === undefined ? {} : { field }) },
      ]),
    ),
    fields: Object.fromEntries(
      fieldNames.map((name) => {
        const members = all.filter(([, { field }]) => field === name).map(([, { right }]) => right)
        return [name, { ...meanOf(members), paradigms: members.length }]
      }),
    ),
    pairs: pairs.length,
    seconds: (performance.now() - started) / 1000,
  }
}

const gather = async (from: readonly string[] | readonly MinimalPair[]): Promise<MinimalPair[]> => {
  const paths = from.filter((each): each is string => typeof each === 'string')
  if (paths.length === 0) return [...(from as readonly MinimalPair[])]
  const pairs: MinimalPair[] = []
  for await (const pair of readMinimalPairs(paths)) pairs.push(pair)
  return pairs
}

/** At most `maxPairs` of each paradigm, in their order. */
const choose = (pairs: MinimalPair[], maxPairs: number | undefined, seed: number | string): MinimalPair[] => {
  if (maxPairs === undefined) return pairs
  const random = createRandom(seed)
  const taken = new Map<string, number>()
  const order = random.fork('pairs').shuffle(pairs.map((_, i) => i))
  const kept = order.filter((i) => {
    const count = taken.get(pairs[i].paradigm) ?? 0
    taken.set(pairs[i].paradigm, count + 1)
    return count < maxPairs
  })
  return kept.sort((a, b) => a - b).map((i) => pairs[i])
}

function* piecesOf(pairs: readonly MinimalPair[], model: ScoredModel, tokenizer: Tokenizer): Generator<SentencePiece> {
  const vocabulary = vocabularyFacts(tokenizer)
  const silent = unscoredIds(vocabulary, tokenizer)
  const maxLength = defaultLength(model.facts, tokenizer)
  const startId = vocabulary.bos ?? vocabulary.eos
  for (const [pair, { good, bad }] of pairs.entries()) {
    for (const [text, sign] of [
      [good, 1],
      [bad, -1],
    ] as const) {
      const ids = Uint32Array.from(tokenizer.encodeIds(text))
      const pieces = model.facts.causal
        ? causalPieces(ids, { maxLength, stride: Math.ceil(maxLength / 2), startId, silent })
        : pseudoPieces(ids, vocabulary, maxLength, silent)
      for (const piece of pieces) yield { ...piece, pair, sign }
    }
  }
}

/** A good and a bad sentence. */
export interface MinimalPair {
  good: string
  bad: string
  /** The kind of contrast. */
  paradigm: string
  /** The field of the paradigm, such as `syntax`. */
  field: string | undefined
}

/** The pairs of all paths, in the order of the file names. @throws DataError with the line of a damaged pair */
export async function* readMinimalPairs(paths: readonly string[]): AsyncGenerator<MinimalPair, void, undefined> {
  for (const path of paths) {
    for (const file of await expandFiles(path, ['.jsonl', '.tar', '.tgz'])) {
      const bytes = await wholeFile(file)
      const isArchive = /\.(tar(\.\w+)?|tgz)$/.test(file)
      const entries = isArchive ? tarFiles(bytes, file) : [{ name: basename(file), data: bytes }]
      for (const { name, data } of entries) {
        if (/\.jsonl$/.test(name.replace(/\.(gz|bz2|zst)$/, '')))
          yield* pairsOf(data.toString('utf8'), name, isArchive ? `${file}:${name}` : file)
      }
    }
  }
}

function* pairsOf(text: string, name: string, where: string): Generator<MinimalPair> {
  const paradigmOfFile = name
    .split('/')
    .at(-1)!
    .replace(/\.jsonl.*$/, '')
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const value = parseJson(line, { path: where, line: i + 1 }) as Record<string, unknown> | null
    const { sentence_good: good, sentence_bad: bad, UID: paradigm, field } = value ?? {}
    if (typeof good !== 'string' || typeof bad !== 'string' || good === '' || bad === '')
      throw new DataError('Expected text for `sentence_good` and `sentence_bad`, got something else.', where, i + 1)
    yield {
      good,
      bad,
      paradigm: typeof paradigm === 'string' ? paradigm : paradigmOfFile,
      field: typeof field === 'string' ? field : undefined,
    }
  }
}
