import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { DataError } from '../../core/index.ts'
import { createFilter, filters } from '../filters/index.ts'
import { extractFeatures, loadQualityModel, trainQualityClassifier } from './index.ts'

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'quality-'))
})
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const good = Array.from(
  { length: 60 },
  (_, i) => `The ${i % 7} scholars examined the manuscript and described its ${i} chapters.`,
)
const bad = Array.from(
  { length: 60 },
  (_, i) => `Click here to buy ${i} cheap pills now, free offer ${i % 5} discount.`,
)

describe('features', () => {
  it('have length 1 and count words and pairs', () => {
    const { indices, values } = extractFeatures('One two two', { nGrams: 2, bits: 20, maxWords: 100 })
    // one, two, "one two", "two two"
    expect(indices).toHaveLength(4)
    expect([...values].reduce((sum, value) => sum + value ** 2, 0)).toBeCloseTo(1, 5)
    expect(Math.max(...values) / Math.min(...values)).toBeCloseTo(1 + Math.log(2), 5)
  })
  it('depend on the order of words, not on case', () => {
    const options = { nGrams: 2, bits: 20, maxWords: 100 }
    expect(extractFeatures('ONE two', options)).toEqual(extractFeatures('one Two', options))
    expect(extractFeatures('two one', options)).not.toEqual(extractFeatures('one two', options))
  })
})

describe('training', () => {
  it('separates the classes and writes equal bytes for equal input', async () => {
    const paths = [join(folder, 'a.bin'), join(folder, 'b.bin')]
    for (const path of paths) {
      const { model, report } = await trainQualityClassifier(good, bad, { bits: 14 })
      expect(report).toMatchObject({ trainingExamples: 108, validationExamples: 12, accuracy: 1, auc: 1 })
      expect(report.loss).toBeLessThan(0.1)
      expect(model.score('Scholars described the manuscript.')).toBeGreaterThan(0.6)
      expect(model.score('Buy cheap pills, free discount!')).toBeLessThan(0.4)
      await model.save(path)
    }
    expect(readFileSync(paths[0]).equals(readFileSync(paths[1]))).toBe(true)
    const loaded = await loadQualityModel(paths[0])
    const { model } = await trainQualityClassifier(good, bad, { bits: 14 })
    for (const text of [...good, ...bad, '']) expect(loaded.score(text)).toBe(model.score(text))
  })

  it('is not biased by the sizes of the classes', async () => {
    const { model } = await trainQualityClassifier(good, bad.slice(0, 6), { bits: 14, validationShare: 0 })
    expect(model.score('Buy cheap pills, free discount!')).toBeLessThan(0.5)
  })

  it('needs both classes', async () => {
    await expect(trainQualityClassifier(good, ['', '  '])).rejects.toThrow(/60 good and 0 bad/)
    await expect(trainQualityClassifier(good, bad, { epoch: 3 } as never)).rejects.toThrow(/epoch.*epochs/s)
  })
})

describe('model files', () => {
  it('are rejected when damaged', async () => {
    const { model } = await trainQualityClassifier(good, bad, { bits: 8 })
    const path = join(folder, 'model.bin')
    await model.save(path)
    const bytes = readFileSync(path)
    const headerBytes = bytes.readUInt32LE(8)
    const header = bytes.toString('utf8', 12, 12 + headerBytes)
    const larger = header.replace('"bits":8', '"bits":24')
    const size = Buffer.alloc(4)
    size.writeUInt32LE(larger.length)
    for (const [name, damaged] of Object.entries({
      empty: Buffer.alloc(0),
      short: bytes.subarray(0, -4),
      start: Buffer.from('not a model at all'),
      hugeHeader: Buffer.concat([bytes.subarray(0, 8), Buffer.from([255, 255, 255, 127]), bytes.subarray(12)]),
      // Claims 64 MB of weights that are not there.
      hugeWeights: Buffer.concat([bytes.subarray(0, 8), size, Buffer.from(larger), bytes.subarray(12 + headerBytes)]),
      flipped: Buffer.concat([bytes.subarray(0, -1), Buffer.from([bytes[bytes.length - 1] ^ 1])]),
    })) {
      const damagedPath = join(folder, `${name}.bin`)
      writeFileSync(damagedPath, damaged)
      await expect(loadQualityModel(damagedPath), name).rejects.toThrow(DataError)
    }
    await expect(loadQualityModel(join(folder, 'none.bin'))).rejects.toThrow(DataError)
  })
})

describe('the filter', () => {
  it('keeps by threshold, or by chance that grows with the score', async () => {
    const path = join(folder, 'filter.bin')
    await (await trainQualityClassifier(good, bad, { bits: 14 })).model.save(path)
    const model = await loadQualityModel(path)
    const strict = await createFilter(filters['quality-classifier'], { model: path }, 'x')
    expect(strict.apply({ id: '1', text: good[0], metadata: {} })).toMatchObject({
      keep: true,
      metadata: { qualityScore: expect.any(Number) },
    })
    expect(strict.apply({ id: '1', text: bad[0], metadata: {} })).toMatchObject({ keep: false, reason: 'low-quality' })

    // P(keep) = P(draw > 1 − score) = (2 − score)^-alpha for the Lomax distribution.
    const alpha = 2
    const chance = await createFilter(filters['quality-classifier'], { model: path, rule: 'pareto', alpha }, 'x')
    for (const text of [good[1], bad[1]]) {
      const tries = 4000
      let kept = 0
      for (let i = 0; i < tries; i++) if (chance.apply({ id: `id ${i}`, text, metadata: {} }).keep) kept++
      const expected = (2 - model.score(text)) ** -alpha
      expect(Math.abs(kept / tries - expected)).toBeLessThan(0.03)
    }
  })
})

const data = join(import.meta.dirname, '../../../../shared/data')
const title = existsSync(data)
  ? 'articles against web pages'
  : 'articles against web pages (skipped: ../shared/data is absent)'

describe.skipIf(!existsSync(data))(title, () => {
  it('are told apart on validation documents', async () => {
    const read = (path: string) =>
      gunzipSync(readFileSync(join(data, path)))
        .toString()
        .split('\n')
        .filter((line) => line !== '')
    const pages = read('c4-sample/c4_demo.jsonl.gz').map((line) => JSON.parse(line).text as string)
    const articles = read('wikipedia-plain/wiki_demo.txt.gz').flatMap((line) => {
      const sentences = line.split(/(?<=\.) /)
      return Array.from({ length: Math.ceil(sentences.length / 15) }, (_, i) =>
        sentences.slice(i * 15, i * 15 + 15).join(' '),
      )
    })
    const { report } = await trainQualityClassifier(articles, pages, { validationShare: 0.2 })
    expect(report.validationExamples).toBeGreaterThan(100)
    expect(report.auc).toBeGreaterThan(0.95)
    expect(report.accuracy).toBeGreaterThan(0.88)
  })
})
