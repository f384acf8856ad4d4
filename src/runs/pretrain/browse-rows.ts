// The rows of a pretraining run as its steps see them, by their position in the data: documents packed together, with the masks of the
// objective. Builds no model and reads no weights.
import { DataError } from '../../core/index.ts'
import { placeAt, rowAt, type SplitName } from '../../data/index.ts'
import {
  type ObjectiveDefinition,
  objectives,
  type SequenceView,
  type VocabularyFacts,
  viewExample,
  vocabularyFacts,
} from '../../objectives/index.ts'
import type { Tokenizer } from '../../tokenizers/index.ts'
import { ExampleStream } from '../../training/index.ts'
import { positionLimit } from './make-model.ts'
import { openData } from './pretrain.ts'
import type { PretrainRecipe } from './recipe.ts'

/** A row at a position. */
export interface PretrainingRow {
  /** Folder of the shards that it comes from. */
  folder: string
  /** Document that it begins in, where that is known. */
  place: string | undefined
  /** Documents, or pieces of one, in the row. */
  documents: number
  /** Tokens of the row that were truncated. */
  cut: number
  /** What the model sees and predicts; undefined for an objective whose examples have an unknown form. */
  sequences: SequenceView[] | undefined
  /** The row as text, with trained tokens marked. */
  text: string
}

/** The opened rows of one split. */
export interface PretrainingRows {
  vocabulary: VocabularyFacts
  /** Rows per epoch; Infinity for a mixture. */
  readonly perEpoch: number
  maxLength: number
  /** @throws RangeError for a position that the split does not have */
  row(position: number): PretrainingRow
  close(): void
}

/**
 * Opens the rows of a run's recipe. The hashes of the shards are not checked, which writes nothing beside them.
 * @param tokenizer of the recipe
 * @throws ConfigError or DataError for data that cannot be opened
 */
export const openPretrainingRows = async (
  recipe: PretrainRecipe,
  split: SplitName,
  tokenizer: Tokenizer,
): Promise<PretrainingRows> => {
  const vocabulary = vocabularyFacts(tokenizer)
  const { type, ...config } = recipe.objective
  const limit = positionLimit(recipe, vocabulary)
  const maxLength = recipe.maxLength ?? (limit === undefined ? undefined : Math.min(limit, 512))
  if (maxLength === undefined)
    throw new DataError('The length of the rows is that of the base, which is not read here: set `maxLength`.')
  const objective = (objectives[type] as ObjectiveDefinition).create(config, { vocabulary, maxLength })
  const { sampler, sources, close } = await openData(recipe, split, objective, { verify: false })
  if (sampler === undefined) {
    close()
    throw new DataError(`Expected at least one row of ${maxLength} tokens in the split ${split}, got fewer.`)
  }
  // As in the run: validation has the same masks in every evaluation.
  const stream = new ExampleStream(objective, sampler, split === 'train' ? recipe.seed : 0)
  const folders = sources.filter(({ tokens }) => tokens >= objective.rows.length).map(({ folder }) => folder)
  const decode = (ids: readonly number[]) => tokenizer.decode(ids)
  return {
    vocabulary,
    perEpoch: sampler.rowsPerEpoch,
    maxLength,
    row(position) {
      const { starts, part } = rowAt(sampler, position)
      const { example, cut } = stream.example(position)
      return {
        folder: folders[part] ?? '',
        place: placeAt(sampler, position),
        documents: starts.length,
        cut,
        sequences: viewExample(example as object),
        text: objective.describe(example, decode),
      }
    },
    close,
  }
}
