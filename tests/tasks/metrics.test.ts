// Metrics held against scikit-learn, scipy, seqeval and SQuAD's official scripts; golden/make_metrics.py made the values.
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { AnswerScores, exactMatch, normalizedWords, wordF1 } from '../../src/tasks/metrics/answer-scores.ts'
import { Calibration } from '../../src/tasks/metrics/calibration.ts'
import {
  accuracy,
  ConfusionMatrix,
  classCounts,
  classF1,
  matthews,
  meanF1,
} from '../../src/tasks/metrics/class-counts.ts'
import { TagScores } from '../../src/tasks/metrics/class-scores.ts'
import { EntityScores, entitySpans } from '../../src/tasks/metrics/entity-scores.ts'
import { MultiLabelScores } from '../../src/tasks/metrics/multi-label-scores.ts'
import { NumberScores } from '../../src/tasks/metrics/number-scores.ts'
import { pairedDifferences, scoreIntervals } from '../../src/tasks/metrics/resampling.ts'
import type { ScoredUnits } from '../../src/tasks/metrics/scored-units.ts'

// biome-ignore lint/suspicious/noExplicitAny: the golden file's shape is in its script
const golden: Record<string, any[]> = JSON.parse(
  gunzipSync(readFileSync(new URL('golden/metrics.json.gz', import.meta.url))).toString(),
)

const equal = (got: number, wanted: number | null, what: unknown) => {
  if (wanted === null) expect(got, JSON.stringify(what)).toBeNaN()
  else if (!(Math.abs(got - wanted) <= 1e-9)) expect(got, JSON.stringify(what)).toBe(wanted)
}

describe('metrics', () => {
  it('of classes are those of scikit-learn', () => {
    expect(golden.classes.length).toBe(600)
    for (const one of golden.classes) {
      const matrix = new ConfusionMatrix(one.labels)
      one.right.forEach((right: number, i: number) => {
        matrix.add(right, one.said[i])
      })
      const confusion = matrix.counted()
      const each = classCounts(confusion)
      expect(Array.from(confusion.cells)).toEqual(one.confusion.flat())
      equal(accuracy(confusion), one.accuracy, one)
      equal(matthews(confusion), one.matthews, one)
      equal(meanF1(each, 'all').f1, one.micro, one)
      equal(meanF1(each, 'each').f1, one.macro, one)
      equal(meanF1(each, 'support').f1, one.weighted, one)
      for (let label = 0; label < one.labels; label++) {
        const { precision, recall, f1 } = classF1(each, label)
        equal(precision, one.precision[label], one)
        equal(recall, one.recall[label], one)
        equal(f1, one.f1[label], one)
      }
    }
  })

  it('of independent tags are those of scikit-learn over all words, with sentences as units', () => {
    for (const one of golden.classes) {
      const scores = new TagScores()
      const rows = (of: number[]) => [of.slice(0, 2), of.slice(2)].map((row) => row.map(String))
      const said = rows(one.said)
      rows(one.right).forEach((right, i) => {
        scores.add(right, said[i])
      })
      const got = scores.scores()
      equal(got.tokenAccuracy, one.accuracy, one)
      equal(got.f1Macro, one.macro, one)
      equal(got.f1Weighted, one.weighted, one)
    }
    const scores = new TagScores()
    scores.add(['DET', 'NOUN'], ['DET', 'VERB'])
    scores.add(['VERB'], ['VERB'])
    expect(scores.scores([1, 2]).tokenAccuracy).toBe(3 / 4)
    expect(scores.details()).toMatchObject({
      tags: { NOUN: { recall: 0, words: 1 }, VERB: { precision: 0.5, words: 1 } },
    })
  })

  it('of several labels are those of scikit-learn', () => {
    for (const one of golden.multiLabel) {
      const scores = new MultiLabelScores(Array.from({ length: one.labels }, (_, i) => String(i)))
      one.right.forEach((right: number[], i: number) => {
        scores.add(right, one.said[i])
      })
      const got = scores.scores()
      equal(got.f1Micro, one.micro, one)
      equal(got.f1Macro, one.macro, one)
      equal(got.f1Weighted, one.weighted, one)
      equal(got.accuracy, one.accuracy, one)
      equal(got.hammingLoss, one.hamming, one)
    }
  })

  it('of numbers are those of scipy and scikit-learn, ties and constants included', () => {
    for (const one of golden.numbers) {
      const scores = new NumberScores()
      one.right.forEach((right: number, i: number) => {
        scores.add(right, one.said[i])
      })
      const got = scores.scores()
      equal(got.pearson, one.pearson, one)
      equal(got.spearman, one.spearman, one)
      equal(got.meanSquaredError, one.mse, one)
      equal(got.meanAbsoluteError, one.mae, one)
    }
  })

  it('of constant numbers have no correlation, whatever their mean is rounded to', () => {
    // The mean of seven times 0.1 is 0.09999999999999999.
    const scores = new NumberScores()
    for (const right of [1, 2, 3, 5, 7, 0.3, 0.7]) scores.add(right, 0.1)
    expect(scores.scores()).toMatchObject({ pearson: Number.NaN, spearman: Number.NaN })
    // Of the units that count, too.
    const more = new NumberScores()
    for (const right of [1, 2, 3, 5, 7, 0.3, 0.7]) more.add(right, 0.1)
    more.add(4, 9)
    expect(more.scores().pearson).not.toBeNaN()
    expect(more.scores([1, 1, 1, 1, 1, 1, 1, 0]).pearson).toBeNaN()
  })

  it('of calibration follow their definition', () => {
    for (const one of golden.calibration) {
      const calibration = new Calibration()
      one.confidence.forEach((value: number, i: number) => {
        calibration.add(value, one.right[i] === 1)
      })
      equal(calibration.error(), one.error, one)
    }
  })

  it('of entities are those of seqeval, lenient and with every scheme', () => {
    expect(new Set(golden.entities.map(({ scheme }) => scheme)).size).toBe(7)
    for (const one of golden.entities) {
      const scores = new EntityScores(one.scheme)
      one.right.forEach((right: string[], i: number) => {
        scores.add(right, one.said[i])
      })
      const got = scores.scores()
      equal(got.precision, one.micro[0], one)
      equal(got.recall, one.micro[1], one)
      equal(got.f1, one.micro[2], one)
      // Where there is no entity at all, seqeval's mean over no types is NaN, and ours 0.
      equal(got.f1Macro, one.macro[2] ?? 0, one)
      equal(got.f1Weighted, one.weighted[2], one)
    }
    expect(() => entitySpans(['E-PER'], 'iob2')).toThrow(/Expected a tag such as O or B-NAME, .* got "E-PER"/)
    expect(() => entitySpans(['PER'])).toThrow(/got "PER"/)
    expect(() => entitySpans(['O', 'B-'])).toThrow(/such as O or B-NAME, .* got "B-"/)
  })

  it('of answers are those of the official scripts', () => {
    expect(golden.answerTexts.length).toBe(2509)
    for (const one of golden.answerTexts) {
      const [said, gold] = [normalizedWords(one.said), normalizedWords(one.gold)]
      expect(gold, JSON.stringify(one)).toEqual(one.words)
      expect(exactMatch(said, gold), JSON.stringify(one)).toBe(one.exact)
      equal(exactMatch(said, gold), one.exactv1, one)
      equal(wordF1(said, gold, 2), one.f1v2, one)
      equal(wordF1(said, gold, 1), one.f1v1, one)
    }
  })

  it('of sets of answers are those of the official scripts, best thresholds included', () => {
    for (const one of golden.answerSets) {
      const scores = new AnswerScores({ version: 2 })
      const first = new AnswerScores({ version: 1 })
      one.golds.forEach((golds: string[], i: number) => {
        scores.add(golds, one.said[i], one.none[i])
        if (golds.length > 0) first.add(golds, one.said[i])
      })
      const got = scores.scores()
      equal(100 * got.exactMatch, one.v2.exact, one)
      equal(100 * got.f1, one.v2.f1, one)
      equal(100 * got.bestExactMatch, one.v2.best_exact, one)
      equal(got.bestExactMatchThreshold, one.v2.best_exact_thresh, one)
      equal(100 * got.bestF1, one.v2.best_f1, one)
      equal(got.bestF1Threshold, one.v2.best_f1_thresh, one)
      if (one.v1 === null) continue
      equal(100 * first.scores().exactMatch, one.v1.exact_match, one)
      equal(100 * first.scores().f1, one.v1.f1, one)
    }
  })
})

/** Every kind of judgement with units that differ. */
const judgements = (): [string, ScoredUnits][] => {
  const numbers = new NumberScores()
  const pairs: [number, number][] = [
    [1, 2],
    [2, 2],
    [2, 3],
    [5, 4],
    [0, 1],
    [4, 4],
  ]
  for (const [a, b] of pairs) numbers.add(a, b)
  const entities = new EntityScores()
  const answers = new AnswerScores({ version: 2 })
  const labels = new MultiLabelScores(['a', 'b', 'c'])
  pairs.forEach(([a, b], i) => {
    entities.add(['B-X', 'I-X', 'O', `B-${a}`], ['B-X', i % 2 ? 'I-X' : 'O', 'O', `B-${b}`])
    answers.add(i % 3 === 0 ? [] : [`x${a}`], i % 2 ? `x${b}` : '', b / 10)
    labels.add([a % 3], [b % 3])
  })
  return [
    ['numbers', numbers],
    ['entities', entities],
    ['answers', answers],
    ['labels', labels],
  ]
}

describe('resampling', () => {
  it.each(judgements())('gives a unit of %s with count 2 the weight of two units', (_, judgement) => {
    const twice = judgement.scores([1, 1, 2, 1, 1, 1])
    const [, other] = judgements().find(([, { units }]) => units === 6)!
    expect(other.units).toBe(6)
    const ones = judgement.scores([1, 1, 1, 1, 1, 1])
    expect(ones).toEqual(judgement.scores())
    const double = judgement.scores([2, 2, 2, 2, 2, 2])
    for (const [name, value] of Object.entries(double)) expect(value, name).toBeCloseTo(ones[name], 12)
    expect(twice).not.toEqual(ones)
  })

  it('gives intervals around the value, the same with the same seed, and none for one unit', () => {
    for (const [, judgement] of judgements()) {
      const first = scoreIntervals(judgement, { seed: 3, resamples: 200 })
      expect(scoreIntervals(judgement, { seed: 3, resamples: 200 })).toEqual(first)
      for (const [name, { value, low, high }] of Object.entries(first)) {
        if (/Threshold/.test(name)) continue
        // A statistic that is not a mean may leave its own interval a little, as ties make ranks and best thresholds do.
        expect(low, name).toBeLessThanOrEqual(value + 0.35)
        expect(high, name).toBeGreaterThanOrEqual(value - 0.35)
        expect(low).toBeLessThanOrEqual(high)
      }
    }
    const one = new NumberScores()
    one.add(1, 2)
    expect(scoreIntervals(one).meanAbsoluteError).toEqual({ value: 1, low: Number.NaN, high: Number.NaN })
  })

  it('covers the true accuracy about as often as the confidence level', () => {
    let held = 0
    let state = 12345
    const draw = () => (state = (state * 1103515245 + 12345) % 2 ** 31) / 2 ** 31
    for (let trial = 0; trial < 200; trial++) {
      const numbers = new NumberScores()
      for (let i = 0; i < 60; i++) numbers.add(0, draw() < 0.7 ? 1 : 0)
      const { low, high } = scoreIntervals(numbers, { seed: trial, resamples: 300 }).meanAbsoluteError
      if (low <= 0.7 && 0.7 <= high) held++
    }
    expect(held).toBeGreaterThan(178) // 95 % of 200, less three standard deviations
    expect(held).toBeLessThanOrEqual(199)
  })

  it('gives no p-value for an undefined difference', () => {
    const both = new NumberScores()
    for (const right of [1, 2, 3, 5]) both.add(right, 2)
    for (const right of [1, 2, 3, 5]) both.add(right, right + 0.1)
    const { pearson, meanAbsoluteError } = pairedDifferences(both, { resamples: 50 })
    const nothing = Number.NaN
    expect(pearson).toEqual({ value: nothing, low: nothing, high: nothing, randomization: nothing, bootstrap: nothing })
    expect(meanAbsoluteError.randomization).toBeGreaterThan(0)
  })

  it('leaves undefined shuffles out of the p-value', () => {
    // Where one record's sides are swapped and the other's are not, each side says one number twice.
    const both = new NumberScores()
    both.add(1, 1)
    both.add(2, 2)
    both.add(1, 2)
    both.add(2, 1)
    const { pearson } = pairedDifferences(both, { resamples: 400 })
    expect(pearson.value).toBeCloseTo(2, 12)
    // All others give 2 or -2, as large as what was seen.
    expect(pearson.randomization).toBe(1)
  })

  it('finds a real difference significant', () => {
    const build = (better: number) => {
      const both = new NumberScores()
      for (const shift of [0, better]) for (let i = 0; i < 80; i++) both.add(0, 1 + ((i * 37) % 11) / 20 - shift)
      return pairedDifferences(both, { resamples: 400 }).meanAbsoluteError
    }
    const clear = build(0.5)
    expect(clear.value).toBeCloseTo(0.5, 10)
    expect(clear.randomization).toBeLessThan(0.01)
    expect(clear.bootstrap).toBeLessThan(0.01)
    const same = build(0)
    expect(same.value).toBe(0)
    expect(same.randomization).toBe(1)
    expect(same.bootstrap).toBe(1)
  })
})
