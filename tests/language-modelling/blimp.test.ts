// A real model on real minimal pairs: stories260K on paradigms of BLiMP. The expected accuracies are those of transformers 5.24
// (LlamaForCausalLM in float32, one sentence at a time after the start token, all 500 pairs of each paradigm); over all 34
// paradigms of the shared data the two agree on every one, with a mean of 0.51118.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { loadModel, loadTokenizer } from '../../src/checkpoint/index.ts'
import { evaluateMinimalPairs, type MinimalPair, readMinimalPairs } from '../../src/tasks/index.ts'
import { hasStories, storiesGguf } from '../checkpoint/stories.ts'

const blimp = '../shared/data/blimp/blimp-subset.tar.gz'
const expected: Record<string, number> = {
  anaphor_number_agreement: 0.594,
  irregular_past_participle_verbs: 0.91,
  only_npi_licensor_present: 0.014,
  passive_1: 0.661,
}

test.skipIf(!hasStories || !existsSync(blimp))('BLiMP as transformers scores it (needs the shared data)', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-blimp-'))
  try {
    const path = join(folder, 'stories.gguf')
    writeFileSync(path, storiesGguf())
    const model = await loadModel(path, { head: 'causal-lm' })
    const tokenizer = await loadTokenizer(path)
    const pairs: MinimalPair[] = []
    for await (const pair of readMinimalPairs([blimp])) if (pair.paradigm in expected) pairs.push(pair)
    const result = await evaluateMinimalPairs(model, tokenizer, pairs, { resamples: 200 })
    expect(Object.fromEntries(Object.entries(result.paradigms).map(([name, { value }]) => [name, value]))).toEqual(
      expected,
    )
    for (const { value, low, high } of Object.values(result.paradigms)) {
      expect(low).toBeLessThan(value)
      expect(high).toBeGreaterThan(value)
      expect(high - low).toBeLessThan(0.12)
    }
    const some = await evaluateMinimalPairs(model, tokenizer, pairs, { maxPairs: 10, resamples: 50 })
    expect(some.pairs).toBe(40)
  } finally {
    rmSync(folder, { recursive: true })
  }
})
