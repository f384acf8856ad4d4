// Writes a trained vocabulary as the files that other libraries open: tokenizer.json and its companions.

import { readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { ConfigError, writeFolderAtomic } from '../../core/index.ts'
import { framingJson, specialTokenJson } from '../special-tokens.ts'
import type { Merge } from './learn-merges.ts'
import type { PreTokenizationJson } from './pre-tokenization.ts'
import type { SpecialTokens, TrainingPlan } from './train-options.ts'
import type { ScoredPiece } from './unigram-trainer.ts'

/** A trained vocabulary. */
export type TrainedVocabulary =
  | { type: 'bpe'; tokens: string[]; merges: Merge[] }
  | { type: 'wordpiece'; tokens: string[] }
  | { type: 'unigram'; pieces: ScoredPiece[] }

/** File contents by file name. */
export type TokenizerFiles = Record<string, string>

/** The contents of all files of a tokenizer folder; deterministic to the byte. */
export const tokenizerFiles = (
  vocabulary: TrainedVocabulary,
  plan: TrainingPlan,
  json: PreTokenizationJson,
): TokenizerFiles => {
  const tokens = vocabulary.type === 'unigram' ? vocabulary.pieces.map(([piece]) => piece) : vocabulary.tokens
  const idOf = new Map(tokens.map((token, id) => [token, id]))
  const added = plan.allSpecialTokens.map((content) => ({ content, id: idOf.get(content) as number }))
  const tokenizer = {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: added.sort((a, b) => a.id - b.id).map(({ id, content }) => specialTokenJson(id, content)),
    normalizer: json.normalizer,
    pre_tokenizer: json.pre_tokenizer,
    post_processor: postProcessor(plan, idOf),
    decoder: json.decoder,
    model: modelJson(vocabulary, plan, idOf),
  }
  return {
    'tokenizer.json': `${JSON.stringify(tokenizer, null, 2)}\n`,
    'tokenizer_config.json': `${JSON.stringify(tokenizerConfig(plan), null, 2)}\n`,
    'special_tokens_map.json': `${JSON.stringify(namedTokens(plan.specialTokens), null, 2)}\n`,
    ...vocabularyFiles(vocabulary, tokens),
  }
}

const OWN_FILES = [
  'tokenizer.json',
  'tokenizer_config.json',
  'special_tokens_map.json',
  'vocab.json',
  'merges.txt',
  'vocab.txt',
]

/**
 * Writes a tokenizer folder atomically and replaces an existing tokenizer. Throws ConfigError if the folder holds other
 * files.
 */
export const writeTokenizerFolder = async (folder: string, files: TokenizerFiles): Promise<void> => {
  const names = await readdir(folder).catch(() => [] as string[])
  const foreign = names.filter((name) => !OWN_FILES.includes(name))
  if (foreign.length > 0) {
    throw new ConfigError(
      `Expected an empty folder or one with a tokenizer for \`out\`, got ${folder} with ${foreign.slice(0, 3).join(', ')}. Name another folder.`,
    )
  }
  await writeFolderAtomic(folder, async (temporary) => {
    for (const [name, content] of Object.entries(files)) await writeFile(join(temporary, name), content)
  })
}

const modelJson = (vocabulary: TrainedVocabulary, plan: TrainingPlan, idOf: Map<string, number>): object => {
  const unknown = plan.specialTokens.unk ?? null
  switch (vocabulary.type) {
    case 'bpe':
      return {
        type: 'BPE',
        dropout: null,
        unk_token: unknown,
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries(idOf),
        merges: vocabulary.merges.map(([left, right]) => [vocabulary.tokens[left], vocabulary.tokens[right]]),
      }
    case 'wordpiece':
      return {
        type: 'WordPiece',
        unk_token: unknown,
        continuing_subword_prefix: '##',
        max_input_chars_per_word: 100,
        vocab: Object.fromEntries(idOf),
      }
    case 'unigram':
      return {
        type: 'Unigram',
        unk_id: unknown === null ? null : idOf.get(unknown),
        vocab: vocabulary.pieces,
        byte_fallback: false,
      }
  }
}

const vocabularyFiles = (vocabulary: TrainedVocabulary, tokens: string[]): TokenizerFiles => {
  switch (vocabulary.type) {
    case 'bpe':
      return {
        'vocab.json': `${JSON.stringify(Object.fromEntries(tokens.map((token, id) => [token, id])))}\n`,
        'merges.txt': `#version: 0.2\n${vocabulary.merges.map(([left, right]) => `${tokens[left]} ${tokens[right]}\n`).join('')}`,
      }
    case 'wordpiece':
      return { 'vocab.txt': tokens.map((token) => `${token}\n`).join('') }
    case 'unigram':
      return {}
  }
}

const postProcessor = (plan: TrainingPlan, idOf: Map<string, number>): object | null => {
  const special = plan.specialTokens
  const around = (before: string[], after: string[], type: number, secondBefore = before) => {
    const tokens = [...new Set([...before, ...after])].sort()
    const ids = tokens.map((token): [string, number] => [token, idOf.get(token) as number])
    return framingJson(before, after, { before: secondBefore, type }, ids)
  }
  // `planTraining` has checked that the template's tokens exist.
  const bos = special.bos as string
  const eos = special.eos as string
  switch (plan.template) {
    case 'none':
      return null
    case 'bert':
      return around([special.cls as string], [special.sep as string], 1, [])
    case 'bos':
      return around([bos], [], 0)
    case 'eos':
      return around([], [eos], 0)
    case 'bos-eos':
      return around([bos], [eos], 0)
  }
}

const namedTokens = (special: SpecialTokens): Record<string, string> =>
  Object.fromEntries(Object.entries(special).map(([role, content]) => [`${role}_token`, content]))

const tokenizerConfig = (plan: TrainingPlan): object => ({
  tokenizer_class: 'PreTrainedTokenizerFast',
  ...namedTokens(plan.specialTokens),
  ...(plan.extraTokens.length > 0 ? { additional_special_tokens: plan.extraTokens } : {}),
  ...(plan.modelMaxLength === undefined ? {} : { model_max_length: plan.modelMaxLength }),
  model_input_names: ['input_ids', ...(plan.template === 'bert' ? ['token_type_ids'] : []), 'attention_mask'],
  clean_up_tokenization_spaces: false,
  ...(plan.preTokenization.preTokenizer === 'bert' ? { do_lower_case: plan.preTokenization.lowercase } : {}),
})
