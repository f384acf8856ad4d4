// Our filters against the decisions of datatrove (golden.json, made by make-golden.py) on real documents. Intended
// differences, none of which these documents show: datatrove takes n-grams for equal when their words glued together
// are ("." ".." and ".." "."), ours compare word by word; words of over 500 characters are not cut further.

import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { sha256 } from '../../src/core/index.ts'
import { createFilter, type Filter, filters } from '../../src/corpus/filters/index.ts'
import { countSentences, splitWords } from '../../src/corpus/text/index.ts'
import { dataFolder, goldenDocuments } from './golden-documents.ts'

interface Golden {
  documents: number
  words: string[]
  sentences: number[]
  decisions: Record<string, Record<string, number[]>>
  c4Text: string[]
  personalData: Record<string, string>
}

/** datatrove's name of a reason → ours. */
const reasons: Record<string, string> = {
  too_few_sentences: 'too-few-sentences',
  curly_bracket: 'curly-bracket',
  lorem_ipsum: 'lorem-ipsum',
  '< 3 paragraphs': 'too-few-paragraphs',
  gopher_short_doc: 'too-few-words',
  gopher_below_alpha_threshold: 'too-few-alphabetic-words',
  gopher_too_many_ellipsis: 'too-many-ellipses',
  dup_line_frac: 'duplicate-lines',
  top_2_gram: 'top-n-gram',
  top_3_gram: 'top-n-gram',
  top_4_gram: 'top-n-gram',
  duplicated_5_n_grams: 'duplicate-n-grams',
  duplicated_6_n_grams: 'duplicate-n-grams',
  duplicated_10_n_grams: 'duplicate-n-grams',
  line_punct_ratio: 'too-few-terminal-lines',
  short_line_ratio: 'too-many-short-lines',
  list_ratio: 'list',
  empty: 'empty',
}

const title = existsSync(dataFolder)
  ? 'datatrove decides alike'
  : 'datatrove decides alike (skipped: ../shared/data is absent)'

describe.skipIf(!existsSync(dataFolder))(title, () => {
  const golden: Golden = JSON.parse(readFileSync(join(import.meta.dirname, 'golden.json'), 'utf8'))
  let documents: string[]
  beforeAll(() => {
    documents = [...goldenDocuments()]
  })

  it('reads the same documents', () => {
    expect(documents.length).toBe(golden.documents)
    expect(documents.length).toBeGreaterThan(1500)
  })

  it('cuts every document into the same words', () => {
    const different = documents.filter((text, i) => sha256(splitWords(text).join('\n')).slice(0, 6) !== golden.words[i])
    expect(different.map((text) => text.slice(0, 60))).toEqual([])
  })

  it('counts the same sentences in every document', () => {
    const different = documents.filter((text, i) => countSentences(text) !== golden.sentences[i])
    expect(different.map((text) => text.slice(0, 60))).toEqual([])
  })

  const cases: [golden: string, type: keyof typeof filters, options: object][] = [
    ['c4', 'c4', {}],
    ['mc4-paragraphs', 'c4', { minParagraphs: 3, minSentences: 0, loremIpsum: false, curlyBracket: false }],
    ['gopher-quality', 'gopher-quality', {}],
    ['gopher-repetition', 'gopher-repetition', {}],
    ['fineweb', 'fineweb', {}],
  ]
  it.each(cases)('%s', async (name, type, options) => {
    const filter = await createFilter(filters[type], options, type)
    const expected = new Array<string>(documents.length).fill('')
    for (const [reason, indices] of Object.entries(golden.decisions[name])) {
      for (const i of indices) expected[i] = reasons[reason]
    }
    const got = documents.map((text, i) => decide(filter, text, i))
    const different = got.flatMap((reason, i) => (reason === expected[i] ? [] : [`${i}: ${reason} != ${expected[i]}`]))
    expect(different).toEqual([])
    // Both answers occur, so that agreement means something.
    expect(new Set(expected).size).toBeGreaterThan(1)
  })

  it('c4 rewrites every kept document to the same text', async () => {
    const filter = await createFilter(filters.c4, {}, 'c4')
    const different = documents.flatMap((text, i) => {
      const decision = filter.apply({ id: String(i), text, metadata: {} })
      const got = decision.keep ? sha256(decision.text ?? text).slice(0, 6) : ''
      return got === golden.c4Text[i] ? [] : [i]
    })
    expect(different).toEqual([])
  })

  it('personal data is masked in the same places', async () => {
    const options = {
      phones: false,
      ipv4Replacements: [
        '22.214.171.124',
        '126.96.36.199',
        '188.8.131.52',
        '184.108.40.206',
        '220.127.116.11',
        '18.104.22.168',
      ],
    }
    const filter = await createFilter(filters['personal-data'], options, 'personal-data')
    const got: Record<string, string> = {}
    for (const [i, text] of documents.entries()) {
      const decision = filter.apply({ id: String(i), text, metadata: {} })
      if (decision.keep && decision.text !== undefined) got[i] = sha256(decision.text).slice(0, 12)
    }
    expect(got).toEqual(golden.personalData)
  })
})

const decide = (filter: Filter, text: string, i: number): string => {
  const decision = filter.apply({ id: String(i), text, metadata: {} })
  return decision.keep ? '' : decision.reason
}
