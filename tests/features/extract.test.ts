// Features of a base: every layer and pooling as a plain forward pass of one sequence alone gives them, in any batch; and the cache, which
// gives the same bits again, grows, survives kills and notices damage.
import { spawn } from 'node:child_process'
import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { type ExtractOptions, extractFeatures, type FeatureSequence, poolings } from '../../src/features/index.ts'
import { defaultDevice, inferenceMode, scope, setThreads, Tensor } from '../../src/tensor/index.ts'
import { bundledChild } from '../setup/bundled-child.ts'
import { makeModel, sequencesOf } from './small-base.ts'

setThreads(1)
const root = mkdtempSync(join(tmpdir(), 'tunesmith-features-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))
let folders = 0
const newFolder = () => join(root, `cache-${folders++}`)

const plain = { layer: 'last', pooling: 'mean', identity: 'test', padId: 0 } as const
const shards = (cache: string): string[] =>
  readdirSync(cache, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.safetensors'))
    .map((name) => join(cache, name))

/** From the definition, one sequence alone. */
const expected = (model: ReturnType<typeof makeModel>, one: FeatureSequence, { layer, pooling }: ExtractOptions) =>
  inferenceMode(() =>
    scope(() => {
      const inputIds = Tensor.from(Int32Array.from(one.ids), {
        shape: [1, one.ids.length],
        dtype: 'int64',
        device: defaultDevice(),
      })
      const { hidden, allHidden } = model.bodyForward({ inputIds, allHidden: true })
      const mean = /^mean-last-(\d)$/.exec(String(layer))
      const all = (x: Tensor) => x.select(0, 0).toArray() as number[][]
      const layers = allHidden?.map(all) ?? []
      const chosen =
        layer === 'last'
          ? all(hidden)
          : mean === null
            ? layers.at(layer as number)!
            : layers[0].map((row, t) =>
                row.map((_, c) => layers.slice(-mean[1]).reduce((sum, l) => sum + l[t][c], 0) / Number(mean[1])),
              )
      const columns = chosen[0].map((_, c) => chosen.map((row) => row[c]))
      const ways = {
        first: () => [chosen[0]],
        last: () => [chosen[chosen.length - 1]],
        mean: () => [columns.map((column) => column.reduce((sum, x) => sum + x, 0) / column.length)],
        max: () => [columns.map((column) => Math.max(...column))],
        tokens: () => (one.positions === undefined ? chosen : Array.from(one.positions, (at) => chosen[at])),
      }
      return ways[pooling]()
    }),
  )

const rowsOf = (features: Tensor) => features.toArray() as number[][]
const distance = (a: number[][], b: number[][]) =>
  Math.max(...a.flatMap((row, i) => row.map((x, k) => Math.abs(x - b[i][k]))))

describe.each(['bert', 't5', 'llama'] as const)('features of %s', (type) => {
  const model = makeModel(type)
  const layers = type === 't5' ? ['last'] : ['last', 0, 1, -1, -2, 'mean-last-1', 'mean-last-2']
  it('are independent of the other sequences of a batch', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 12 }),
        fc.constantFrom(...layers),
        fc.constantFrom(...poolings),
        fc.integer({ min: 1, max: 40 }),
        async (lengths, layer, pooling, batchTokens) => {
          const sequences = sequencesOf(lengths)
          const options = { ...plain, layer, pooling, batchTokens }
          const { features, rows } = await extractFeatures(model, sequences, options)
          const right = sequences.flatMap((one) => expected(model, one, options))
          expect(Array.from(rows)).toEqual(sequences.map(({ ids }) => (pooling === 'tokens' ? ids.length : 1)))
          expect(features.shape).toEqual([right.length, model.facts.hiddenSize])
          expect(distance(rowsOf(features), right)).toBeLessThan(2e-5)
        },
      ),
      { numRuns: 40 },
    )
  })

  it('are those of the selected tokens', async () => {
    const sequences = sequencesOf([5, 9, 2]).map((one, i) => ({
      ...one,
      positions: Uint32Array.from([[0, 3], [8], [] as number[]][i]),
    }))
    const options = { ...plain, pooling: 'tokens' as const }
    const { features, rows } = await extractFeatures(model, sequences, options)
    expect(Array.from(rows)).toEqual([2, 1, 0])
    const right = sequences.flatMap((one) => expected(model, one, options))
    expect(distance(rowsOf(features), right)).toBeLessThan(2e-5)
  })

  it('of a missing layer are an error', async () => {
    for (const layer of [7, -9, 'mean-last-5'])
      await expect(extractFeatures(model, sequencesOf([3]), { ...plain, layer })).rejects.toThrow(/Expected .*`layer`/)
  })
})

describe('the feature cache', () => {
  const model = makeModel('bert')

  it('returns the same bits without running the base', async () => {
    const cache = newFolder()
    const sequences = sequencesOf([4, 7, 3, 7, 9])
    const first = await extractFeatures(model, [...sequences, sequences[1]], { ...plain, cache })
    expect(first).toMatchObject({ cached: 0, computed: 5 })
    const second = await extractFeatures(model, [...sequences, sequences[1]], { ...plain, cache })
    expect(second).toMatchObject({ cached: 5, computed: 0, tokens: 0 })
    expect(rowsOf(second.features)).toEqual(rowsOf(first.features))
    const more = await extractFeatures(model, [...sequencesOf([6, 2], 'other'), ...sequences], { ...plain, cache })
    expect(more).toMatchObject({ cached: 5, computed: 2 })
    expect(rowsOf(more.features).slice(2)).toEqual(rowsOf(first.features).slice(0, 5))
    expect(shards(cache).length).toBe(2)
  })

  it('separates features that differ in base, layer, pooling, segments or selected tokens', async () => {
    const cache = newFolder()
    const [one] = sequencesOf([6])
    const differ: [FeatureSequence, Partial<ExtractOptions>][] = [
      [one, {}],
      [one, { layer: 1 }],
      [one, { pooling: 'max' }],
      [one, { identity: 'another base' }],
      [{ ...one, typeIds: Uint8Array.of(0, 0, 0, 1, 1, 1) }, {}],
      [{ ...one, positions: Uint32Array.of(1) }, { pooling: 'tokens' }],
      [{ ...one, positions: Uint32Array.of(2) }, { pooling: 'tokens' }],
    ]
    for (const [sequence, options] of differ)
      expect(await extractFeatures(model, [sequence], { ...plain, cache, ...options })).toMatchObject({ computed: 1 })
    const segments = { ...one, typeIds: new Uint8Array(6) }
    expect(await extractFeatures(model, [segments], { ...plain, cache })).toMatchObject({ cached: 1 })
  })

  it.each(['a bit that flipped', 'an end that is missing', 'other bytes'])(
    'notices %s and computes again',
    async (how) => {
      const cache = newFolder()
      const sequences = sequencesOf([4, 7, 3, 8, 9, 5])
      const options = { ...plain, cache, batchTokens: 8, shardBytes: 300 }
      const first = await extractFeatures(model, sequences, options)
      const [path, ...others] = shards(cache)
      expect(others.length).toBeGreaterThan(0)
      const bytes = readFileSync(path)
      if (how === 'a bit that flipped')
        writeFileSync(
          path,
          bytes.map((byte, i) => (i === bytes.length - 3 ? byte ^ 4 : byte)),
        )
      else if (how === 'an end that is missing') truncateSync(path, bytes.length - 1)
      else writeFileSync(path, 'no tensors at all')
      const notes: string[] = []
      const second = await extractFeatures(model, sequences, { ...options, onNote: (line) => notes.push(line) })
      expect(notes).toEqual([expect.stringMatching(/damaged.*computed again/)])
      expect(second.computed).toBeGreaterThan(0)
      expect(second.cached).toBeGreaterThan(0)
      expect(distance(rowsOf(second.features), rowsOf(first.features))).toBeLessThan(1e-6)
      const third = await extractFeatures(model, sequences, options)
      expect(third).toMatchObject({ computed: 0 })
    },
  )

  it('keeps finished features after an abort', async () => {
    const cache = newFolder()
    const sequences = sequencesOf([4, 7, 3, 8, 9, 5])
    const aborter = new AbortController()
    const options = { ...plain, cache, batchTokens: 8 }
    const stopped = extractFeatures(model, sequences, {
      ...options,
      signal: aborter.signal,
      onProgress: (done) => done >= 3 && aborter.abort(),
    })
    await expect(stopped).rejects.toThrow(/abort/i)
    const { cached, computed } = await extractFeatures(model, sequences, options)
    expect([cached > 2, computed > 0, cached + computed]).toEqual([true, true, 6])
  })

  it('survives kills at any moment, with little work lost', async () => {
    const cache = newFolder()
    const child = await bundledChild(new URL('extract-child.ts', import.meta.url))
    const seen: number[] = []
    const ends: (NodeJS.Signals | null)[] = []
    for (let kills = 0; kills < 4; kills++) {
      const process_ = spawn(process.execPath, [child, cache], {
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      await new Promise<void>((resolve) => {
        let batches = 0
        process_.stdout.on('data', (chunk: Buffer) => {
          // Each batch says in a line that it is done: killed after some, while the next is written.
          batches += chunk.toString().split('\n').length - 1
          if (batches >= 2 + 3 * kills) process_.kill('SIGKILL')
        })
        process_.on('close', (_, signal) => {
          ends.push(signal)
          resolve()
        })
      })
      seen.push(shards(cache).length)
    }
    expect(ends[0]).toBe('SIGKILL')
    expect([...seen].sort((a, b) => a - b)).toEqual(seen)
    expect(seen.at(-1)).toBeGreaterThan(3)
    const sequences = sequencesOf(Array.from({ length: 60 }, (_, i) => 4 + (i % 9)))
    const notes: string[] = []
    const found = await extractFeatures(model, sequences, { ...plain, cache, onNote: (line) => notes.push(line) })
    expect(notes).toEqual([])
    expect(found.cached).toBeGreaterThan(3)
    const fresh = await extractFeatures(model, sequences, plain)
    expect(distance(rowsOf(found.features), rowsOf(fresh.features))).toBeLessThan(1e-5)
  })
})
