// Language identification: labels each document with its language and drops other languages. The detector is eld
// (character n-grams, 60 languages), loaded on first use.

import { z } from 'zod'
import { ConfigError } from '../../core/index.ts'
import { defineFilter, drop, keep } from './filter.ts'

const config = z.strictObject({
  languages: z
    .array(z.string())
    .default(['en'])
    .describe('ISO 639-1 codes of the languages to keep; empty: label only'),
  minConfidence: z.number().min(0).max(1).default(0.5).describe('minimum score of the detected language'),
  sampleCharacters: z
    .number()
    .int()
    .min(100)
    .default(10_000)
    .describe('characters for detection, from the start of the document'),
  database: z
    .enum(['small', 'medium', 'large'])
    .default('medium')
    .describe('size of the language models; larger ones are more accurate'),
  label: z.boolean().default(true).describe('`language` and `languageConfidence` in the metadata'),
})

const databases = {
  small: () => import('eld/small'),
  medium: () => import('eld/medium'),
  large: () => import('eld/large'),
}

export const language = defineFilter({
  type: 'language',
  config,
  source: 'eld (Efficient Language Detector) 2.1, npm package eld',
  summary: 'Labels the language and keeps documents in the selected languages.',
  reasons: ['unknown-language', 'other-language', 'low-confidence'],
  async create(options) {
    // A separate instance, so that language subsets and clean-up settings of others do not affect it.
    const detector = (await databases[options.database]()).default.newInstance()
    const known = new Set(Object.values(detector.info().Languages))
    const unknown = options.languages.filter((code) => !known.has(code))
    if (unknown.length > 0) {
      throw new ConfigError(
        `Expected languages among ${[...known].sort().join(' ')} for \`languages\`, got ${unknown.join(', ')}. Use ISO 639-1 codes.`,
      )
    }
    const wanted = new Set(options.languages)
    return {
      apply({ text }) {
        const result = detector.detect(sample(text, options.sampleCharacters))
        const found = result.language
        if (found === '') return wanted.size === 0 ? keep : drop('unknown-language')
        const confidence = Math.round((result.getScores()[found] ?? 0) * 1e4) / 1e4
        if (wanted.size > 0) {
          if (!wanted.has(found)) return drop('other-language', `${found} ${confidence}`)
          if (confidence < options.minConfidence) return drop('low-confidence', `${found} ${confidence}`)
        }
        return options.label ? { keep: true, metadata: { language: found, languageConfidence: confidence } } : keep
      },
    }
  },
})

/** The first characters, not ending between the two halves of a surrogate pair. */
const sample = (text: string, size: number): string => {
  if (text.length <= size) return text
  const last = text.charCodeAt(size - 1)
  return text.slice(0, last >= 0xd800 && last < 0xdc00 ? size - 1 : size)
}
