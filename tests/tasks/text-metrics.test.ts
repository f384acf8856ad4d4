// Metrics of texts held against rouge-score, NLTK, sacreBLEU, SQuAD's script and the lm-evaluation-harness; golden/make_text_metrics.py made
// the values.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { createRandom } from '../../src/core/index.ts'
import { pairedDifferences, scoreIntervals, scoreTexts, type TextPair } from '../../src/tasks/index.ts'
import { sentenceBleu } from '../../src/tasks/metrics/bleu.ts'
import { stemmed } from '../../src/tasks/metrics/porter-stemmer.ts'
import { lcsLength, markLcs } from '../../src/tasks/metrics/rouge.ts'
import { answerNumber } from '../../src/tasks/metrics/text-answers.ts'

// biome-ignore lint/suspicious/noExplicitAny: the golden file's shape is in its script
const golden: Record<string, any[]> = JSON.parse(
  gunzipSync(readFileSync(new URL('golden/text-metrics.json.gz', import.meta.url))).toString(),
)

const equal = (got: number, wanted: number, what: unknown) => {
  if (!(Math.abs(got - wanted) <= 1e-9)) expect(got, JSON.stringify(what)).toBe(wanted)
}
const rouges = ['rouge1', 'rouge2', 'rougeL', 'rougeLsum'] as const

describe('metrics of texts', () => {
  it('stem words as NLTK does', () => {
    expect(golden.words.length).toBeGreaterThan(9000)
    for (const [word, stem] of golden.words) if (stemmed(word) !== stem) expect(stemmed(word), word).toBe(stem)
  })

  it('of single texts are those of rouge-score, sacreBLEU and SQuAD, for several references too', () => {
    expect(golden.pairs.length).toBeGreaterThan(1500)
    for (const one of golden.pairs) {
      const pair: TextPair = { prediction: one.said, references: one.right }
      for (const [stemming, values] of [
        [false, one.rouge],
        [true, one.stemmed],
      ] as const) {
        const judged = scoreTexts([pair], { metrics: rouges, stemming })
        const [scores, details] = [judged.scores(), judged.details()]
        rouges.forEach((name, i) => {
          const { precision, recall } = details[name] as { precision: number; recall: number }
          equal(precision, values[i][0], { name, stemming, ...one })
          equal(recall, values[i][1], { name, stemming, ...one })
          equal(scores[name], values[i][2], { name, stemming, ...one })
        })
      }
      equal(sentenceBleu(pair), one.bleu, one)
      const scores = scoreTexts([pair], { metrics: ['chrf', 'chrf++', 'exactMatch', 'tokenF1'] }).scores()
      equal(scores.chrf, one.chrf, one)
      equal(scores['chrf++'], one.chrfpp, one)
      equal(scores.exactMatch, one.exact, one)
      equal(scores.tokenF1, one.f1, one)
    }
  })

  it('of corpora are those of sacreBLEU, with signatures', () => {
    for (const one of golden.corpora) {
      const pairs = one.pairs.map(
        ([prediction, references]: [string, string[]]): TextPair => ({ prediction, references }),
      )
      const judged = scoreTexts(pairs, { metrics: ['bleu', 'chrf', 'chrf++'] })
      const scores = judged.scores()
      equal(scores.bleu, one.bleu, one)
      equal(scores.chrf, one.chrf, one)
      equal(scores['chrf++'], one.chrfpp, one)
      const details = judged.details() as Record<string, Record<string, unknown>>
      ;(details.bleu.precisions as number[]).forEach((value: number, i: number) => {
        equal(value, one.precisions[i], one)
      })
      equal(details.bleu.brevityPenalty as number, one.bp, one)
      expect([details.bleu.predictionTokens, details.bleu.referenceTokens]).toEqual(one.lengths)
      const as = '|as:sacrebleu-2.6.0'
      expect(details.bleu.signature).toBe(one.bleuSignature + as)
      expect(details.chrf.signature).toBe(one.chrfSignature + as)
      expect(details['chrf++'].signature).toBe(one.chrfppSignature + as)
    }
  })

  it("of numbers follow the harness's two rules for gsm8k", () => {
    expect(golden.numbers.length).toBe(1800)
    for (const one of golden.numbers) {
      const scores = scoreTexts([{ prediction: one.said, references: [one.right] }], {
        metrics: ['numericMatch'],
      }).scores()
      equal(scores.strictMatch, one.strict, one)
      equal(scores.flexibleMatch, one.flexible, one)
    }
  })

  it.each([
    ['so 3 + 9 = 12\n#### 12', 12],
    ['#### -1,234.50 dollars', -1234.5],
    ['#### $7\n\nQuestion: how many of 9?', 7],
    ['It costs $1,000.', 1000],
    ['about −3 degrees', -3],
    ['from 3-4', 4],
    ['1,0000', 0],
    ['50% of them', 50],
    ['0.30', 0.3],
    ['.5', 0.5],
    ['x = 2e3', 2000],
    ['none', Number.NaN],
    ['', Number.NaN],
  ])('find the number of %j', (text, value) => {
    expect(answerNumber(text)).toBe(value)
  })

  it('compare numbers by value and any of several references', () => {
    const scores = (prediction: string, ...references: string[]) =>
      scoreTexts([{ prediction, references }], { metrics: ['numericMatch'] }).scores().numericMatch
    expect(scores('It is 18.00 dollars', '#### 18')).toBe(1)
    expect(scores('18', '#### 19', '#### 18')).toBe(1)
    expect(scores('no idea', 'none')).toBe(0)
  })

  it('compare the exact text without normalisation', () => {
    const pairs = [
      { prediction: ' +\n', references: ['-', '+'] },
      { prediction: 'The end', references: ['end'] },
    ]
    expect(scoreTexts(pairs, { metrics: ['exactMatch'], normalized: false }).scores()).toEqual({ exactMatch: 0.5 })
    expect(scoreTexts(pairs, { metrics: ['exactMatch'] }).scores()).toEqual({ exactMatch: 1 })
  })

  it('score any resample of pairs as a corpus', () => {
    const random = createRandom('draws')
    const all = golden.pairs.slice(0, 200).map((one): TextPair => ({ prediction: one.said, references: one.right }))
    const metrics = [...rouges, 'bleu', 'chrf', 'chrf++', 'exactMatch', 'numericMatch', 'tokenF1'] as const
    const judged = scoreTexts(all, { metrics, stemming: true })
    for (let draw = 0; draw < 10; draw++) {
      const counts = new Uint32Array(all.length)
      for (let i = 0; i < all.length; i++) counts[random.integer(all.length)]++
      const drawn = all.flatMap((pair, i) => Array.from({ length: counts[i] }, () => pair))
      const wanted = scoreTexts(drawn, { metrics, stemming: true }).scores()
      for (const [name, value] of Object.entries(judged.scores(counts))) equal(value, wanted[name], { name, draw })
    }
    const intervals = scoreIntervals(judged, { resamples: 200 })
    for (const { value, low, high } of Object.values(intervals)) expect(low <= value && value <= high).toBe(true)
    // The right texts are better than these predictions, and by more than chance.
    const right = all.map(({ references }): TextPair => ({ prediction: references[0], references }))
    const { bleu } = pairedDifferences(scoreTexts([...right, ...all], { metrics: ['bleu'] }), { resamples: 200 })
    expect(bleu.value).toBeGreaterThan(5)
    expect(bleu.randomization).toBeLessThan(0.01)
  })

  it('find the common subsequences of the quadratic table', () => {
    const random = createRandom('subsequences')
    for (let trial = 0; trial < 400; trial++) {
      const letters = 2 + random.integer(trial % 2 === 0 ? 4 : 60)
      const [one, other] = [0, 1].map(() => Array.from({ length: random.integer(140) }, () => random.integer(letters)))
      const table = one.map(() => new Array<number>(other.length + 1).fill(0))
      const at = (i: number, j: number) => (i === 0 ? 0 : table[i - 1][j])
      one.forEach((value, i) => {
        other.forEach((each, j) => {
          table[i][j + 1] = each === value ? at(i, j) + 1 : Math.max(at(i, j + 1), table[i][j])
        })
      })
      expect(lcsLength(one, other)).toBe(at(one.length, other.length))
      const wanted = new Uint8Array(one.length)
      for (let [i, j] = [one.length, other.length]; i > 0 && j > 0; ) {
        if (one[i - 1] === other[j - 1]) {
          wanted[--i] = 1
          j--
        } else if (at(i, j - 1) > at(i - 1, j)) j--
        else i--
      }
      const marks = new Uint8Array(one.length)
      markLcs(one, other, marks)
      expect(marks).toEqual(wanted)
    }
  })

  it('score long texts in little memory', () => {
    const random = createRandom('long')
    const long = (size: number) => Array.from({ length: size }, () => `w${random.integer(2000)}`).join(' ')
    const pair = { prediction: long(40000), references: [long(40000)] }
    const before = process.memoryUsage()
    const scores = scoreTexts([pair], { metrics: ['rougeL', 'rougeLsum'] }).scores()
    const after = process.memoryUsage()
    expect(scores.rougeL).toBe(scores.rougeLsum)
    expect(scores.rougeL).toBeGreaterThan(0.01)
    // The table of rouge-score would have 1.6 billion cells.
    expect(after.heapTotal + after.external - before.heapTotal - before.external).toBeLessThan(300e6)
  })

  it('refuse missing and unknown metrics and references by name', () => {
    const pair = { prediction: 'a', references: ['a'] }
    expect(() => scoreTexts([pair], { metrics: [] })).toThrow(/`metrics` needs at least one metric/)
    expect(() => scoreTexts([pair], { metrics: ['rougel'] })).toThrow(/got "rougel"\. Did you mean `rougeL`\?/)
    expect(() => scoreTexts([pair, { prediction: 'a', references: [] }], { metrics: ['bleu'] })).toThrow(
      /at least one reference for `pairs\[1\]`/,
    )
  })
})
