// Grows a vocabulary, swaps the tokenizer of a model, or shrinks a vocabulary to data. Each writes a model folder that transformers opens.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, exists, parseConfig } from '../../core/index.ts'
import { buildModel, type Model, quantizationOf } from '../../models/index.ts'
import { cat, noGrad, scope, Tensor } from '../../tensor/index.ts'
import { CHAT_TEMPLATES, fitTemplate, loadTokenizer, type Tokenizer } from '../../tokenizers/index.ts'
import { loadModelWithReport, rememberSource, sourceOf } from '../load-model.ts'
import { saveModel } from '../save-model.ts'
import { expectTokenizerOf, neededIds, surfaceOf, withTokens, writeVocabularyRecord } from './vocabulary-record.ts'

/** Old ids whose mean is a row of the new vocabulary: one id keeps its row, none gives the mean of all rows. */
export type RowSource = readonly number[]

/** The rows of a table or a bias that `sources` names. */
const rowsOf = (table: Tensor, sources: readonly RowSource[], used: number): Tensor =>
  scope(() => {
    const mean = table.narrow(0, 0, used).to('float32').mean([0]).unsqueeze(0).to(table.dtype)
    // The last row of the extended table is the mean of all. Rows without a token are kept like others.
    const extended = cat([table, mean], 0)
    const [count] = table.shape
    const single = sources.map((ids) => (ids.length === 1 ? ids[0] : count))
    const rows = extended.indexSelect(0, Tensor.from(Int32Array.from(single), { dtype: 'int64' }))
    for (const [i, ids] of sources.entries())
      if (ids.length > 1) {
        const chosen = table.indexSelect(0, Tensor.from(Int32Array.from(ids), { dtype: 'int64' }))
        rows.select(0, i).copy_(chosen.to('float32').mean([0]).to(table.dtype))
      }
    return rows
  })

/**
 * A copy of a model for another vocabulary.
 * @param sources for each new id the old ids that its row comes from
 * @param options `used`: number of old rows that belong to tokens, for means; `idOf`: the new ids of special tokens
 * @throws ConfigError for a quantised model, and for one whose positions depend on the id of padding when that changes
 */
export const resizeVocabulary = (
  model: Model,
  sources: readonly RowSource[],
  options: { used?: number; idOf?: (id: number) => number | undefined } = {},
): Model => {
  const { definition, headType, headOptions } = model
  const { vocabSize: before } = model.facts
  const { used = before, idOf = (id) => id } = options
  if (quantizationOf(model) !== undefined)
    throw new ConfigError('Another vocabulary needs a model that is not quantised: load it in float32 or bfloat16.')
  const config = Object.fromEntries(
    Object.entries(model.config).map(([name, value]) => [
      name,
      name === 'vocabSize'
        ? sources.length
        : /TokenId$/.test(name) && typeof value === 'number'
          ? (idOf(value) ?? value)
          : value,
    ]),
  )
  if (definition.facts(config).maxPositions !== model.facts.maxPositions)
    throw new ConfigError(
      `Positions of ${definition.type} depend on the id of the padding token, which would change. Use a tokenizer with the same id.`,
    )
  const resized = buildModel(definition, config, headType, headOptions)
  resized.to({ dtype: model.body.embedTokens.dtype })
  const old = model.parameters()
  noGrad(() => {
    for (const [path, tensor] of resized.parameters()) {
      const from = old.get(path)
      const isTable = from !== undefined && from.shape[0] === before && tensor.shape[0] === sources.length
      if (from === undefined || (!isTable && from.shape.join() !== tensor.shape.join()))
        throw new ConfigError(`Expected the parameter ${path} in both models, got another shape. Report this model.`)
      tensor.copy_(isTable ? rowsOf(from, sources, used) : from)
    }
  })
  const source = sourceOf(model)
  if (source !== undefined) rememberSource(resized, source)
  return resized
}

const common = {
  base: z.string().describe('model to change: a folder or a Hub id, with its tokenizer'),
  out: z.string().describe('folder for the model with its tokenizer; it must not exist'),
  multipleOf: z
    .int()
    .positive()
    .default(1)
    .describe('round the number of rows up to a multiple, such as 64; rows without a token are the mean of all'),
}

const initField = z
  .enum(['subwords', 'mean'])
  .default('subwords')
  .describe('rows of new tokens: mean of the rows of the tokens that they replace, or mean of all rows')

/** Settings of `growVocabulary`. */
export const growVocabularySchema = z.strictObject({
  ...common,
  tokens: z.array(z.string().min(1)).default([]).describe('tokens to add; they are never split'),
  template: z
    .enum(Object.keys(CHAT_TEMPLATES) as [string, ...string[]])
    .optional()
    .describe('chat template to save with the tokenizer; the tokens that it needs are added as special tokens'),
  special: z.boolean().default(false).describe('add `tokens` as special tokens, which decoding leaves out'),
  eos: z
    .string()
    .min(1)
    .optional()
    .describe('end-of-text token, such as <|endoftext|>; added as a special token if the tokenizer has no such token'),
  init: initField,
})

/** Settings of `swapTokenizer`. */
export const swapTokenizerSchema = z.strictObject({
  ...common,
  tokenizer: z.string().describe('new tokenizer: a folder, a file or a Hub id'),
  init: initField,
})

/** Settings of `shrinkVocabulary`. */
export const shrinkVocabularySchema = z.strictObject({ ...common })

/** What changed. */
export interface ChangedVocabulary {
  out: string
  /** Rows before and after. */
  before: number
  after: number
  /** Tokens whose rows were kept. */
  kept: number
  /** New tokens, whose rows are means. */
  added: string[]
}

/** Special tokens in the text of a template, such as <|im_start|>. */
const tokensIn = (template: string): string[] => [...new Set(template.match(/<\|\w+\|>/g) ?? [])]

const open = async (base: string, out: string): Promise<{ model: Model; tokenizer: Tokenizer }> => {
  if (await exists(out)) throw new ConfigError(`Expected a new folder for \`out\`, got ${out}, which exists.`)
  const { model, folder } = await loadModelWithReport(base, { device: 'cpu' })
  if (folder === undefined)
    throw new ConfigError('Another vocabulary needs a Hugging Face folder with a tokenizer, got a GGUF file.')
  const tokenizer = await loadTokenizer(folder)
  await expectTokenizerOf(folder, tokenizer, model.facts.vocabSize)
  return { model, tokenizer }
}

const roundUp = (count: number, multiple: number): number => Math.ceil(count / multiple) * multiple

/** Rows of padding beyond the tokens are means. */
const padded = (sources: RowSource[], multiple: number): RowSource[] => [
  ...sources,
  ...Array.from({ length: roundUp(sources.length, multiple) - sources.length }, (): RowSource => []),
]

/** The ids that a token's text had before, without special tokens. */
const partsOf = (tokenizer: Tokenizer, text: string): RowSource => {
  if (text === '' || text.startsWith('\0')) return []
  const { ids } = tokenizer.encode(text, { addSpecialTokens: false, literal: [[0, text.length]] })
  const unknown = tokenizer.special.unk?.id
  return Array.from(ids).filter((id) => id !== unknown)
}

/** Writes the model with a tokenizer whose files are in a temporary folder. @param added tokens that are new to the model */
const save = async (
  model: Model,
  out: string,
  added: readonly string[],
  write: (folder: string) => Promise<Tokenizer>,
): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), 'tunesmith-vocabulary-'))
  try {
    const tokenizer = await write(folder)
    const { special } = tokenizer
    const ids = Object.fromEntries(
      (['bos', 'eos', 'pad'] as const).flatMap((role) =>
        special[role] === undefined ? [] : [[`${role}_token_id`, special[role].id]],
      ),
    )
    await saveModel(model, out, {
      tokenizer: folder,
      fields: ids,
      // Ids of the old vocabulary would end answers at other tokens.
      addFiles: async (target) => {
        await writeVocabularyRecord(target, tokenizer, added)
        const path = join(target, 'generation_config.json')
        const text = await readFile(path, 'utf8').catch(() => undefined)
        if (text === undefined) return
        const fields = JSON.parse(text) as Record<string, unknown>
        await writeFile(path, `${JSON.stringify({ ...fields, ...ids }, null, 2)}\n`)
      },
    })
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

/** Sets fields of tokenizer_config.json, which names roles of tokens before all other files. */
const setFields = async (folder: string, changed: Record<string, unknown>): Promise<Tokenizer> => {
  const path = join(folder, 'tokenizer_config.json')
  const fields = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  await writeFile(path, `${JSON.stringify({ ...fields, ...changed }, null, 2)}\n`)
  return loadTokenizer(folder)
}

/** A preset that ends answers with a token of the tokenizer. @throws ConfigError for a tokenizer without one */
const endedTemplate = (tokenizer: Tokenizer, name: string): string => {
  const template = fitTemplate(tokenizer, name)
  if (template.includes('eos_token') && tokenizer.special.eos === undefined)
    throw new ConfigError(
      `\`template\` ${name} ends answers with the end-of-text token, and the tokenizer has none: name one with \`eos\`, such as <|endoftext|>.`,
    )
  return template
}

/**
 * Adds tokens to a model and its tokenizer. Tokens that it has keep their rows.
 * @throws ConfigError without a new token
 */
export const growVocabulary = async (input: z.input<typeof growVocabularySchema>): Promise<ChangedVocabulary> => {
  const { base, out, tokens, template, special, eos, init, multipleOf } = parseConfig(
    growVocabularySchema,
    input,
    'vocabulary',
  )
  const { model, tokenizer } = await open(base, out)
  const before = model.facts.vocabSize
  const source = template === undefined ? undefined : CHAT_TEMPLATES[template as keyof typeof CHAT_TEMPLATES]
  const wanted = [
    ...tokens.filter((content) => content !== eos).map((content) => ({ content, special })),
    ...[...tokensIn(source ?? ''), ...(eos === undefined ? [] : [eos])].map((content) => ({ content, special: true })),
  ]
  const added = wanted.filter(({ content }) => tokenizer.tokenToId(content) === undefined)
  if (added.length === 0 && source === undefined && (eos === undefined || eos === tokenizer.special.eos?.token))
    throw new ConfigError(
      '`vocabulary grow` needs a token that the tokenizer does not have: pass `tokens`, `template` or `eos`.',
    )
  const used = tokenizer.maxId + 1
  const parts = added.map(({ content }): RowSource => (init === 'mean' ? [] : partsOf(tokenizer, content)))
  const ids = tokenizer.addTokens(added)
  const sources = Array.from(
    { length: Math.max(before, tokenizer.maxId + 1) },
    (_, id): RowSource => (id < before ? [id] : []),
  )
  for (const [i, id] of ids.entries()) sources[id] = parts[i]
  const grown = resizeVocabulary(model, padded(sources, multipleOf), { used })
  const texts = added.map(({ content }) => content)
  await save(grown, out, texts, async (folder) => {
    await tokenizer.save(folder)
    const ended = eos === undefined ? tokenizer : await setFields(folder, { eos_token: eos })
    return template === undefined ? ended : setFields(folder, { chat_template: endedTemplate(ended, template) })
  })
  return { out, before, after: grown.facts.vocabSize, kept: used, added: texts }
}

const roles = ['bos', 'eos', 'pad', 'unk', 'cls', 'sep', 'mask'] as const

/** Encoders name the tokens at the borders of a text in another way. */
const alike: Partial<Record<(typeof roles)[number], (typeof roles)[number]>> = {
  bos: 'cls',
  eos: 'sep',
  cls: 'bos',
  sep: 'eos',
}

/** Gives a model another tokenizer: rows are mapped by the text of tokens, and special tokens by their role. */
export const swapTokenizer = async (input: z.input<typeof swapTokenizerSchema>): Promise<ChangedVocabulary> => {
  const { base, out, tokenizer: path, init, multipleOf } = parseConfig(swapTokenizerSchema, input, 'vocabulary')
  const { model, tokenizer: old } = await open(base, out)
  const next = await loadTokenizer(path)
  const [oldText, newText] = [surfaceOf(old), surfaceOf(next)]
  const known = new Map<string, number>()
  for (let id = 0; id <= old.maxId; id++) {
    const text = oldText(id)
    if (text !== undefined && !known.has(text)) known.set(text, id)
  }
  const byRole = new Map(
    roles.flatMap((role) => {
      const [from, to] = [old.special[role] ?? old.special[alike[role] ?? role], next.special[role]]
      return from === undefined || to === undefined ? [] : [[to.id, from.id] as const]
    }),
  )
  const added: string[] = []
  const sources = Array.from({ length: next.maxId + 1 }, (_, id): RowSource => {
    const text = newText(id)
    const same = byRole.get(id) ?? (text === undefined ? undefined : known.get(text))
    if (same !== undefined) return [same]
    added.push(next.idToToken(id) ?? '')
    return init === 'mean' || text === undefined ? [] : partsOf(old, text)
  })
  const idOf = new Map([...byRole].map(([to, from]) => [from, to]))
  const swapped = resizeVocabulary(model, padded(sources, multipleOf), {
    used: old.maxId + 1,
    idOf: (id) => idOf.get(id),
  })
  await save(swapped, out, added, async (folder) => {
    await next.save(folder)
    return next
  })
  const { vocabSize: before } = model.facts
  return { out, before, after: swapped.facts.vocabSize, kept: sources.length - added.length, added }
}

/**
 * Leaves out the tokens that texts do not need: they are encoded into the same tokens afterwards, under other ids.
 * @throws ConfigError without texts
 */
export const shrinkVocabulary = async (
  texts: Iterable<string> | AsyncIterable<string>,
  input: z.input<typeof shrinkVocabularySchema>,
): Promise<ChangedVocabulary> => {
  const { base, out, multipleOf } = parseConfig(shrinkVocabularySchema, input, 'vocabulary')
  const { model, tokenizer } = await open(base, out)
  const occurring = new Set<number>()
  for await (const text of texts) for (const id of tokenizer.encodeIds(text)) occurring.add(id)
  if (occurring.size === 0) throw new ConfigError('`vocabulary shrink` needs texts: the data has none.')
  const kept = [...neededIds(tokenizer, occurring)].sort((a, b) => a - b)
  const idOf = new Map(kept.map((id, i) => [id, i]))
  const shrunk = resizeVocabulary(
    model,
    padded(
      kept.map((id): RowSource => [id]),
      multipleOf,
    ),
    { used: tokenizer.maxId + 1, idOf: (id) => idOf.get(id) },
  )
  await save(shrunk, out, [], async (folder) => {
    await tokenizer.save(folder)
    await writeFile(join(folder, 'tokenizer.json'), `${JSON.stringify(withTokens(tokenizer, idOf))}\n`)
    const smaller = await loadTokenizer(folder)
    await smaller.save(folder)
    return smaller
  })
  const { vocabSize: before } = model.facts
  return { out, before, after: shrunk.facts.vocabSize, kept: kept.length, added: [] }
}
