// A small vocabulary, shards of invented text and the recipe of a run over them, and what two runs are compared by.
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { createRandom, sha256 } from '../../src/core/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import type { PretrainInput } from '../../src/runs/index.ts'
import { trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { readEvents, type TrainingEvent } from '../../src/tracking/index.ts'

export interface SmallData {
  root: string
  tokenizer: string
  shards: string
  dispose(): void
}

const words = 'the a house river old green walks sleeps over under bird stone with and small light of rain'.split(' ')

/** 200 documents of sentences that some order can be learnt from. */
const inventDocuments = (): string[] => {
  const random = createRandom('small run')
  return Array.from({ length: 200 }, () => {
    let at = random.integer(words.length)
    return Array.from({ length: 20 + random.integer(80) }, () => {
      at = (at * 3 + 1 + random.integer(3)) % words.length
      return words[at]
    }).join(' ')
  })
}

export const makeSmallData = async (type: 'wordpiece' | 'bpe' = 'wordpiece'): Promise<SmallData> => {
  const root = mkdtempSync(join(tmpdir(), 'tunesmith-run-'))
  const [tokenizer, shards] = [join(root, 'tokenizer'), join(root, 'shards')]
  const documents = inventDocuments()
  const { files } = await trainTokenizer(documents, { type, vocabSize: type === 'bpe' ? 300 : 90 }, { workers: 1 })
  await writeTokenizerFolder(tokenizer, files)
  await encodeShards(documents, tokenizer, shards, { validation: 0.1 }, { workers: 1 })
  return { root, tokenizer, shards, dispose: () => rmSync(root, { recursive: true, force: true }) }
}

/** Everything that a run remembers is in use: dropout, masks, averages, the best by a metric. */
export const smallRecipe = ({ shards, tokenizer }: SmallData, out: string, more: object = {}): PretrainInput =>
  ({
    model: { type: 'bert' as const, preset: 'test', config: { numLayers: 1 } },
    objective: { type: 'masked-lm' as const },
    data: shards,
    tokenizer,
    out,
    maxLength: 32,
    validationExamples: 8,
    batch: { sequences: 4 },
    budget: { steps: 20 },
    learningRate: 3e-3,
    average: { decay: 0.9 },
    evaluate: { steps: 7 },
    checkpoint: { steps: 3 },
    keep: { last: 2, best: 'loss' },
    ...more,
  }) as PretrainInput

const filesBelow = (folder: string): string[] =>
  readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort()

/** Hashes of everything that a run leaves of its model and checkpoints, the clock aside. */
export const remainsOf = (run: string): Record<string, string> => {
  const hashes: Record<string, string> = {}
  for (const name of filesBelow(run)) {
    if (!/^(model|checkpoints)\//.test(name) || name.endsWith('manifest.json')) continue
    // The card names the run, and both say how long it took.
    if (name === 'model/README.md' || name === 'model/timing.json') continue
    const bytes = readFileSync(join(run, name))
    const { seconds: _, ...state } = name.endsWith('state.json') ? JSON.parse(bytes.toString()) : {}
    hashes[name] = name.endsWith('state.json') ? sha256(JSON.stringify(state)) : sha256(bytes)
  }
  return hashes
}

/** The events of a run without what the clock and the machine say. */
export const eventsOf = async (run: string): Promise<object[]> => {
  const events: object[] = []
  for await (const event of readEvents(join(run, 'events.jsonl'))) {
    const {
      time: _,
      seconds: __,
      tokensPerSecond: ___,
      memoryBytes: ____,
      dataSeconds: _____,
      ...rest
    } = event as TrainingEvent & Record<string, unknown>
    events.push(rest)
  }
  return events
}
