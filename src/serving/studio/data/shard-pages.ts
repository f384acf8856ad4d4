// Token shards for the page: their manifest, documents as text, and rows as a run sees them.
import { ConfigError, parseConfig } from '../../../core/index.ts'
import { openTokens, readShardManifest, type SplitName } from '../../../data/index.ts'
import type { SequenceView } from '../../../objectives/index.ts'
import { openPretrainingRows, type PretrainingRow, type PretrainRecipe, pretrainSchema } from '../../../runs/index.ts'
import { type Tokenizer, tokenBytes } from '../../../tokenizers/index.ts'
import { badRequest } from '../../http/errors.ts'
import type { RunEntry } from '../runs/run-entry.ts'
import { cellLength, cutText, wholeLength } from '../shown-values.ts'
import type { Studio } from '../studio.ts'
import type {
  DataDocument,
  DataSource,
  DocumentPage,
  PackedRows,
  ShardOverview,
  ShardRun,
  ShownRow,
  ShownSequence,
  ShownToken,
} from '../types/data-types.ts'
import type { SearchedText } from './text-search.ts'

/** Tokens of a document that are decoded for a list, and for itself. */
const listedTokens = 200
const wholeTokens = 20_000
/** Tokens of a document that a search decodes at a time. */
const searchedTokens = 50_000
/** Tokens of a row that are sent. */
const maxRowTokens = 8192

type Recipe = Record<string, unknown>

const runsOf = async (studio: Studio, { uses }: DataSource): Promise<RunEntry[]> => {
  const found: RunEntry[] = []
  for (const { run } of uses.slice(0, 100)) found.push(await studio.runs.get(run))
  return found.filter(({ recipe }) => recipe !== undefined)
}

const describeRun = ({ id, recipe }: RunEntry): ShardRun => {
  const { objective, seed, maxLength } = recipe as Recipe
  const { type } = (objective ?? {}) as { type?: unknown }
  return {
    run: id,
    objective: typeof type === 'string' ? type : 'unknown objective',
    seed: typeof seed === 'number' ? seed : 0,
    maxLength: typeof maxLength === 'number' ? maxLength : null,
  }
}

/** The folder of the tokenizer that shards were encoded with; undefined where none is known. */
const tokenizerFolder = async (studio: Studio, source: DataSource): Promise<string | undefined> => {
  const { tokenizer } = await readShardManifest(source.path)
  const named = (await runsOf(studio, source)).map(({ recipe }) => recipe?.tokenizer)
  return studio.data.tokenizerOf(
    tokenizer.sha256,
    named.filter((folder): folder is string => typeof folder === 'string'),
  )
}

const noTokenizer =
  'The tokenizer that these shards were encoded with is in no recipe and under no folder of the studio: texts cannot be decoded.'

const tokenizerFor = async (studio: Studio, source: DataSource): Promise<Tokenizer> => {
  const folder = await tokenizerFolder(studio, source)
  if (folder === undefined) throw badRequest(noTokenizer)
  return studio.data.tokenizer(folder)
}

/** The manifest, and the runs that read the shards. @throws DataError for damaged shards */
export const shardOverview = async (studio: Studio, source: DataSource): Promise<ShardOverview> => {
  const manifest = await readShardManifest(source.path)
  return {
    source,
    dtype: manifest.dtype,
    vocabularySize: manifest.tokenizer.vocabSize,
    beginId: manifest.beginId,
    endId: manifest.endId,
    from: manifest.source,
    splits: (['train', 'validation'] as const).map((name) => {
      const { tokens, documents, bytes, shards } = manifest.splits[name]
      return { name, tokens, documents, bytes, files: shards.length }
    }),
    runs: (await runsOf(studio, source)).map(describeRun),
    tokenizerFault: (await tokenizerFolder(studio, source)) === undefined ? noTokenizer : null,
  }
}

/** Documents from a number on, as text. */
export const shardDocuments = async (
  studio: Studio,
  source: DataSource,
  { offset, limit, split }: { offset: number; limit: number; split: SplitName },
): Promise<DocumentPage> => {
  const tokenizer = await tokenizerFor(studio, source)
  const tokens = await openTokens(source.path, split, { verify: false })
  try {
    const documents: DataDocument[] = []
    for (let number = offset; number < Math.min(offset + limit, tokens.documents); number++) {
      const start = tokens.documentStart(number)
      const size = tokens.documentEnd(number) - start
      const read = Math.min(size, limit === 1 ? wholeTokens : listedTokens)
      const text = cutText(tokenizer.decode(tokens.readTokens(start, read)), limit === 1 ? wholeLength : cellLength)
      // How long a text is that was not decoded is not known: its tokens say it.
      documents.push({
        number,
        text: read < size ? { ...text, length: text.length ?? text.text.length } : text,
        tokens: size,
      })
    }
    return { total: tokens.documents, documents }
  } finally {
    tokens.close()
  }
}

/** Every document of a split as text, for a search. Long ones come in pieces. */
export async function* shardTexts(
  studio: Studio,
  source: DataSource,
  split: SplitName,
): AsyncGenerator<SearchedText[]> {
  const tokenizer = await tokenizerFor(studio, source)
  const tokens = await openTokens(source.path, split, { verify: false })
  try {
    for (let number = 0; number < tokens.documents; number++) {
      const end = tokens.documentEnd(number)
      for (let start = tokens.documentStart(number); start < end; start += searchedTokens) {
        const text = tokenizer.decode(tokens.readTokens(start, Math.min(searchedTokens, end - start)))
        yield [{ number, where: split, text }]
      }
    }
  } finally {
    tokens.close()
  }
}

/** Which rows of which run. */
export interface RowsQuery {
  run: string
  split: SplitName
  position: number
  count: number
  /** Random seed instead of the run's. */
  seed?: number
}

const recipeOf = (entry: RunEntry): PretrainRecipe => {
  try {
    return parseConfig(pretrainSchema, entry.recipe, 'run.json')
  } catch (error) {
    if (error instanceof ConfigError)
      throw badRequest(`The recipe of ${entry.id} cannot be used here: ${error.message}`)
    throw error
  }
}

/** Rows of a run that reads these shards. @throws ApiError for a run that does not, DataError for what cannot be opened */
export const packedRows = async (
  studio: Studio,
  source: DataSource,
  { run, split, position, count, seed }: RowsQuery,
): Promise<PackedRows> => {
  if (!source.uses.some((use) => use.run === run))
    throw badRequest(`The run ${run.slice(0, 200)} does not read these shards.`, 'run')
  const stored = recipeOf(await studio.runs.get(run))
  const recipe = { ...stored, seed: seed ?? stored.seed }
  const tokenizer = await studio.data.tokenizer(recipe.tokenizer)
  const opened = await openPretrainingRows(recipe, split, tokenizer)
  try {
    const { perEpoch, maxLength, vocabulary } = opened
    const view = viewOf(tokenizer, vocabulary.specialIds)
    const rows: ShownRow[] = []
    const end = split === 'validation' ? Math.min(position + count, perEpoch) : position + count
    for (let at = position; at < end; at++)
      rows.push(shownRow(opened.row(at), at, Number.isFinite(perEpoch) ? perEpoch : undefined, view))
    return { perEpoch: Number.isFinite(perEpoch) ? perEpoch : null, maxLength, seed: recipe.seed, rows }
  } finally {
    opened.close()
  }
}

type View = (sequence: SequenceView) => ShownSequence

/** Shows each token as the text that it adds to those before it. */
const viewOf = (tokenizer: Tokenizer, special: ReadonlySet<number>): View => {
  const texts = new Map<number, string>()
  const textOf = (id: number): string => {
    const text = texts.get(id) ?? Buffer.from(tokenBytes(tokenizer, id)).toString('utf8')
    texts.set(id, text)
    return text
  }
  return ({ role, tokens }) => ({
    role,
    tokens: tokens.slice(0, maxRowTokens).map(
      ({ id, trained, label }): ShownToken => ({
        id,
        text: textOf(id),
        ...(special.has(id) ? { special: true } : {}),
        ...(trained ? { trained: true } : {}),
        ...(label === undefined ? {} : { label: textOf(label) }),
      }),
    ),
  })
}

const shownRow = (row: PretrainingRow, position: number, perEpoch: number | undefined, view: View): ShownRow => {
  const all = row.sequences?.flatMap(({ tokens }) => tokens)
  return {
    position,
    epoch: perEpoch === undefined ? null : Math.floor(position / perEpoch),
    folder: row.folder,
    place: row.place ?? null,
    documents: row.documents,
    cut: row.cut,
    tokens: all?.length ?? 0,
    trained: all?.filter(({ trained }) => trained).length ?? 0,
    sequences: row.sequences?.map(view) ?? null,
    text: cutText(row.text, wholeLength),
  }
}
