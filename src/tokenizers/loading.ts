// Loads tokenizers from files: tokenizer.json, vocab.txt, vocab.json with merges.txt, SentencePiece models; a single
// file or a folder with tokenizer_config.json.
import { readFile, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { createLogger, DataError, parseJson, TunesmithError } from '../core/index.ts'
import { isObject, type JsonObject } from './fields.ts'
import { type BertVocabularyOptions, bertJson, byteLevelJson } from './legacy-files.ts'
import { sentencePieceJson } from './sentencepiece.ts'
import { namedRoles, ROLES, resolveRoles, tokenText } from './special-tokens.ts'
import { Tokenizer, type TokenizerExtras } from './tokenizer.ts'

/** SentencePiece files whose ids or special tokens are those of the model only after a conversion, by why. */
const CONVERTED: Record<string, string> = {
  // XLM-R, CamemBERT and mBART have their own first ids and move all others: the file's would be silently wrong.
  'sentencepiece.bpe.model': 'its ids are not those of the model',
  // DeBERTa's file has neither the mask token nor the tokens around a text.
  'spm.model': 'it lacks special tokens of the model',
}
/** Classes whose SentencePiece file has neither their normalisation nor the tokens around a text. */
const CONVERTED_CLASSES = /^Albert/

const MAX_FILE_BYTES = 512 * 1024 * 1024

/** Options of `loadTokenizer`; those of BERT vocabularies apply to vocab.txt only. */
export interface LoadOptions extends BertVocabularyOptions {
  /** Content of tokenizer_config.json, for a `source` that is the parsed content of a tokenizer.json. */
  config?: JsonObject
}

/**
 * Loads a tokenizer from a folder, a file (tokenizer.json, vocab.txt, vocab.json with merges.txt, tokenizer.model) or
 * the parsed content of a tokenizer.json. Throws DataError if a file is missing or invalid.
 */
export const loadTokenizer = (source: string | JsonObject, options: LoadOptions = {}): Promise<Tokenizer> =>
  loadTokenizerAs(Tokenizer, source, options)

/** A class of tokenizers with the constructor of `Tokenizer`. */
export type TokenizerClass<Loaded extends Tokenizer> = new (json: unknown, extras: TokenizerExtras) => Loaded

/** `loadTokenizer`, for a subclass of `Tokenizer`. */
export const loadTokenizerAs = async <Loaded extends Tokenizer>(
  type: TokenizerClass<Loaded>,
  source: string | JsonObject,
  options: LoadOptions,
): Promise<Loaded> => {
  if (typeof source !== 'string')
    return build(type, source, options.config === undefined ? [] : [options.config], undefined, 'tokenizer.json')
  const info = await stat(source).catch(() => undefined)
  if (info === undefined)
    throw new DataError('Expected a tokenizer file or folder, got a path that does not exist.', source)
  const folder = info.isDirectory() ? source : dirname(source)
  const config = (await readJson(join(folder, 'tokenizer_config.json'))) ?? {}
  const map = (await readJson(join(folder, 'special_tokens_map.json'))) ?? {}
  const name = info.isDirectory() ? await findVocabulary(folder) : basename(source)
  const json = await readVocabulary(folder, name, config, options)
  const template = await readText(join(folder, 'chat_template.jinja'))
  return build(type, json, [config, map], template, join(folder, name))
}

/** The content of tokenizer.json, converted from the file `name`. */
const readVocabulary = async (
  folder: string,
  name: string,
  config: JsonObject,
  options: LoadOptions,
): Promise<JsonObject> => {
  const path = join(folder, name)
  if (name.endsWith('.txt')) return bertJson(await need(folder, name), { ...bertOptions(config), ...options })
  if (name.endsWith('.model')) {
    const isConverted = CONVERTED_CLASSES.test(`${config.tokenizer_class ?? ''}`) || config.keep_accents !== undefined
    const reason = CONVERTED[name] ?? (isConverted ? 'it lacks the normalisation of the model' : undefined)
    if (reason !== undefined)
      throw new DataError(
        `\`${name}\` needs \`tokenizer.json\` in the same folder, since ${reason}: write it with \`AutoTokenizer.from_pretrained(folder).save_pretrained(folder)\` of transformers.`,
        path,
      )
    return sentencePieceJson(await bytes(path), config)
  }
  if (!name.endsWith('vocab.json') && !name.endsWith('encoder.json')) return tokenizerJson(folder, name, config)
  const merges = await readText(
    join(folder, name.replace('vocab.json', 'merges.txt').replace('encoder.json', 'vocab.bpe')),
  )
  if (merges === undefined) throw new DataError('`vocab.json` needs `merges.txt` in the same folder: add it.', path)
  const model = (await readJson(join(folder, 'config.json')))?.model_type
  return byteLevelJson(parse(await need(folder, name), path), merges, { ...config, model_type: model })
}

const VOCABULARIES = [
  'tokenizer.json',
  'vocab.json',
  'encoder.json',
  'vocab.txt',
  'tokenizer.model',
  'spiece.model',
  ...Object.keys(CONVERTED),
]

const findVocabulary = async (folder: string): Promise<string> => {
  for (const name of VOCABULARIES) if ((await stat(join(folder, name)).catch(() => undefined))?.isFile()) return name
  throw new DataError(`Expected one of ${VOCABULARIES.join(', ')}, got none of them. Name a tokenizer folder.`, folder)
}

const tokenizerJson = async (folder: string, name: string, config: JsonObject): Promise<JsonObject> => {
  const json = parse(await need(folder, name), join(folder, name))
  // Without a class, transformers takes that of the model.
  const model = config.tokenizer_class === undefined ? await readJson(join(folder, 'config.json')) : undefined
  return withConfigFlags(json, BERT_MODELS.test(`${model?.model_type}`) ? 'BertTokenizer' : undefined, config)
}

/** Classes of transformers whose flags in tokenizer_config.json, also those by default, win over tokenizer.json. */
const BERT_CLASSES =
  /^(Bert|ConvBert|DistilBert|Electra|Funnel|LayoutLM|Lxmert|MobileBert|MPNet|SqueezeBert)Tokenizer(Fast)?$/
/** Types of models that have these classes. */
const BERT_MODELS = /^(bert|convbert|distilbert|electra|funnel|layoutlm|lxmert|mobilebert|mpnet|squeezebert)$/
const GPT2_CLASSES = /^(GPT2|Roberta|Longformer|Bart|LED|Blenderbot|GPTNeoX|CodeGen)Tokenizer(Fast)?$/

/** The content of tokenizer.json with the flags that its class takes from tokenizer_config.json. */
const withConfigFlags = (json: JsonObject, classOfModel: string | undefined, config: JsonObject): JsonObject => {
  const { normalizer, pre_tokenizer: splitter } = json
  const name = `${config.tokenizer_class ?? classOfModel ?? ''}`
  if (BERT_CLASSES.test(name) && isObject(normalizer) && normalizer.type === 'BertNormalizer') {
    const { lowercase = true, stripAccents = null, handleChineseChars = true } = bertOptions(config)
    const flags = { lowercase, strip_accents: stripAccents, handle_chinese_chars: handleChineseChars }
    return { ...json, normalizer: { ...normalizer, ...flags } }
  }
  const prefixed = config.add_prefix_space
  if (GPT2_CLASSES.test(name) && typeof prefixed === 'boolean' && isObject(splitter) && splitter.type === 'ByteLevel')
    return { ...json, pre_tokenizer: { ...splitter, add_prefix_space: prefixed } }
  return json
}

const bertOptions = (config: JsonObject): BertVocabularyOptions => {
  const flag = (key: string) => (typeof config[key] === 'boolean' ? config[key] : undefined)
  return {
    lowercase: flag('do_lower_case'),
    stripAccents: flag('strip_accents'),
    handleChineseChars: flag('tokenize_chinese_chars'),
  }
}

const bytes = async (path: string): Promise<Buffer> => {
  const { size } = await stat(path)
  if (size > MAX_FILE_BYTES) throw new DataError(`Expected at most ${MAX_FILE_BYTES} bytes, got ${size}.`, path)
  return readFile(path)
}

const need = async (folder: string, name: string): Promise<string> => (await bytes(join(folder, name))).toString('utf8')

const readText = async (path: string): Promise<string | undefined> => {
  const there = await stat(path).catch(() => undefined)
  return there?.isFile() ? (await bytes(path)).toString('utf8') : undefined
}

const readJson = async (path: string): Promise<JsonObject | undefined> => {
  const text = await readText(path)
  return text === undefined ? undefined : parse(text, path)
}

const parse = (text: string, path: string): JsonObject => {
  const value = parseJson(text, { path })
  if (!isObject(value)) throw new DataError('Expected a JSON object, got another type.', path)
  return value
}

/** The longest input in tokens that tokenizer_config.json names; some files write 1e30 for "no limit". */
export const longestInput = ({ model_max_length: longest }: JsonObject): number | undefined =>
  typeof longest === 'number' && longest > 0 && longest < 2 ** 31 ? longest : undefined

/** Builds a tokenizer from its JSON and configuration files. */
const build = <Loaded extends Tokenizer>(
  type: TokenizerClass<Loaded>,
  json: JsonObject,
  files: readonly JsonObject[],
  template: string | undefined,
  path: string,
): Loaded => {
  try {
    const [config = {}] = files
    if (config.split_special_tokens === true) warnOfSplitting(path)
    return new type(
      { ...json, added_tokens: withConfigTokens(json, files, path) },
      {
        special: (idOf) => resolveRoles(namedRoles(files), idOf, { conventional: !namesRoles(files) }),
        maxLength: longestInput(config),
        paddingSide: config.padding_side === 'left' ? 'left' : 'right',
        truncationSide: config.truncation_side === 'left' ? 'left' : 'right',
        chatTemplate: template ?? configTemplate(config),
        config,
      },
    )
  } catch (error) {
    if (error instanceof DataError) throw error.file === undefined ? new DataError(error.message, path) : error
    if (error instanceof TunesmithError) throw error
    // Any other error that V8 throws for a broken file (too deep, too large) is reported as a fault of the file.
    throw new DataError(`Expected a valid tokenizer, got one that cannot be built (${(error as Error).message}).`, path)
  }
}

const warned = new Set<string>()

/** Says once for a file that a text with the name of a special token gives another encoding than in transformers. */
const warnOfSplitting = (path: string): void => {
  if (warned.has(path)) return
  warned.add(path)
  createLogger('tokenizers').warn(
    `${path}: \`split_special_tokens\` of tokenizer_config.json has no effect here: the name of a special token in a text is read as that token.`,
  )
}

const namesRoles = (files: readonly JsonObject[]): boolean =>
  files.some((file) => ROLES.some((role) => file[`${role}_token`] !== undefined))

const configTemplate = (config: JsonObject): string | undefined => {
  const template = config.chat_template
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return undefined
  // A list of named templates: use the one named "default".
  const chosen = template.find((item) => isObject(item) && item.name === 'default')
  return isObject(chosen) && typeof chosen.template === 'string' ? chosen.template : undefined
}

/** The added tokens of tokenizer.json, followed by those that only the configuration files name. */
const withConfigTokens = (json: JsonObject, files: readonly JsonObject[], path: string): unknown[] => {
  const listed = Array.isArray(json.added_tokens)
    ? json.added_tokens
    : json.added_tokens === undefined || json.added_tokens === null
      ? []
      : undefined
  if (listed === undefined) return json.added_tokens as unknown[]
  const known = new Set(listed.map(tokenText))
  const tokens = [...listed]
  const add = (content: string | undefined, token: JsonObject) => {
    if (content === undefined || known.has(content)) return
    known.add(content)
    tokens.push({
      single_word: false,
      lstrip: false,
      rstrip: false,
      normalized: false,
      special: true,
      ...token,
      content,
    })
  }
  for (const file of files) {
    const decoder = file.added_tokens_decoder
    if (isObject(decoder))
      for (const id of Object.keys(decoder).sort((a, b) => Number(a) - Number(b)))
        if (isObject(decoder[id])) add(tokenText(decoder[id]), decoder[id])
    for (const role of ROLES) {
      const value = file[`${role}_token`]
      add(tokenText(value), isObject(value) ? { ...value, special: true } : {})
    }
  }
  // With a SentencePiece model they are left out: T5 numbers its own from the last to the first.
  if (!path.endsWith('.model')) for (const content of namedRoles(files).additional) add(content, {})
  return tokens
}
