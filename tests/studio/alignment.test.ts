// The page "Alignment": rollouts of a run that learned from rewards and margins of one that learned from preferences, both really trained.
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readRollout, rolloutFile } from '../../src/alignment/index.ts'
import { align } from '../../src/runs/index.ts'
import type {
  AlignmentFacts,
  PreferencePage,
  RolloutAnswer,
  RolloutPage,
} from '../../src/serving/studio/types/alignment-types.ts'
import type { RunDetails } from '../../src/serving/studio/types/api-types.ts'
import { makeSmallAlignment, pairRows, type SmallAlignment } from '../alignment/small-alignment.ts'
import { browserPath, runsFolder, StudioUnderTest, stepEvent, writeEvents, writeJson } from './studio-fixture.ts'

const runs = runsFolder()
const studio = new StudioUnderTest()
studio.use({ roots: [runs] })

let small: SmallAlignment

/** A share of even tokens for some prompts, and the same reward for every answer to the others. */
const sometimes = (samples: readonly { prompt: unknown; completionIds: ArrayLike<number> }[]) =>
  samples.map(({ prompt, completionIds: ids }) =>
    /[02468]:$/.test(String(prompt)) ? 0.5 : Array.from(ids).filter((id) => id % 2 === 0).length / ids.length,
  )

const train = (recipe: object) => align(recipe as unknown as Parameters<typeof align>[0])
const shared = () => ({ base: small.base, validationShare: 0.3, untrainedBaseline: false, learningRate: 0.01 })

/** Three steps of 24 answers to six prompts. */
const prompted = () => ({
  ...shared(),
  data: small.rows(
    'prompts.jsonl',
    Array.from({ length: 24 }, (_, i) => ({ prompt: `hi ${i}:` })),
  ),
  rollout: { prompts: 6, answers: 4, maxNewTokens: 8 },
  budget: { steps: 3 },
  answers: { validation: 4, samples: 0 },
})

beforeAll(async () => {
  small = await makeSmallAlignment()
  await train({
    ...prompted(),
    ...{ objective: 'grpo', rewards: [sometimes], settings: { beta: 0.05 }, out: join(runs, 'grpo') },
  })
  await train({
    ...shared(),
    ...{ untrainedBaseline: true, data: small.rows('pairs.jsonl', pairRows(24)), objective: 'dpo' },
    ...{ batch: { sequences: 8 }, budget: { steps: 2 }, answers: { samples: 0 }, out: join(runs, 'dpo') },
  })
  // The same run, with a chosen answer that became less likely.
  const edited = join(runs, 'displaced')
  cpSync(join(runs, 'dpo'), edited, { recursive: true })
  const path = join(edited, 'model/predictions.jsonl')
  const lines = readFileSync(path, 'utf8').trim().split('\n')
  const line = JSON.parse(lines[2]) as { completions: { logProb: number; base: number }[] }
  line.completions[0].base = line.completions[0].logProb + 2
  line.completions[1].base = line.completions[1].logProb - 1
  lines[2] = JSON.stringify(line)
  writeFileSync(path, `${lines.join('\n')}\n`)
  // The same run, without log-probabilities of the base.
  const unmeasured = join(runs, 'no-base')
  cpSync(join(runs, 'dpo'), unmeasured, { recursive: true })
  const withoutBase = readFileSync(join(unmeasured, 'model/predictions.jsonl'), 'utf8').replaceAll(
    /,"base":[^,}]+/g,
    '',
  )
  expect(withoutBase).not.toContain('base')
  writeFileSync(join(unmeasured, 'model/predictions.jsonl'), withoutBase)
  await writeEvents(join(runs, 'pretraining'), [stepEvent(1)])
  await writeJson(join(runs, 'pretraining/run.json'), { command: 'pretrain' })
})
afterAll(() => small?.dispose())

const fileOf = (rollout: number) => join(runs, 'grpo/rollouts', rolloutFile(rollout))

describe('runs of alignment', () => {
  it('list their rollouts, and other runs are refused', async () => {
    expect(await studio.json<AlignmentFacts>('/api/runs/grpo/alignment')).toEqual({
      ...{ objective: 'grpo', kind: 'rollouts', rollouts: [1, 2, 3], scored: true },
    })
    expect(await studio.json<AlignmentFacts>('/api/runs/dpo/alignment')).toMatchObject({ kind: 'preferences' })
    expect(await studio.json('/api/runs/pretraining/alignment')).toMatchObject({
      error: { code: 'alignment_not_found' },
    })
    expect(await studio.json('/api/runs/grpo/rollouts/77')).toMatchObject({ error: { code: 'rollout_not_found' } })
    expect(await studio.json('/api/runs/grpo/rollouts/..%2F1')).toMatchObject({ error: { code: 'rollout_not_found' } })
  })

  it('give a range of answers as the file has them, and count groups without variance', async () => {
    const rows = await readRollout(fileOf(2))
    const page = await studio.json<RolloutPage>('/api/runs/grpo/rollouts/2?from=5&count=3')
    expect(page).toMatchObject({ total: 24, from: 5, groups: 6, step: rows[0].step })
    expect(page.rows).toMatchObject(
      rows.slice(5, 8).map(({ group, member, completion, reward, advantage, completionIds }, i) => ({
        ...{ row: 5 + i, group, member, completion, reward, advantage, tokens: completionIds.length },
      })),
    )
    const groups = [...new Set(rows.map(({ group }) => group))]
    const rewardsOf = (group: number) => rows.filter((row) => row.group === group).map(({ reward }) => reward)
    const equal = groups.filter((group) => new Set(rewardsOf(group)).size === 1)
    expect(equal.length).toBeGreaterThan(0)
    expect(page.equalCount).toBe(equal.length)
    expect(page.equalGroups.map(({ group }) => group)).toEqual(equal)
    expect(page.reward.mean).toBeCloseTo(rows.reduce((sum, { reward }) => sum + reward!, 0) / rows.length, 12)
  })

  it('give the tokens of an answer, whose ratios sum to its divergence', async () => {
    const rows = await readRollout(fileOf(3))
    const answer = await studio.json<RolloutAnswer>('/api/runs/grpo/rollouts/3/answers/7')
    expect(answer.note).toBeNull()
    expect(answer.answerTokens.map(({ id }) => id)).toEqual(rows[7].completionIds)
    expect(answer.answerTokens.map(({ text }) => text).join('')).toBe(rows[7].completion)
    expect(answer.answerTokens.reduce((sum, { ratio }) => sum + ratio!, 0)).toBeCloseTo(rows[7].kl!, 5)
    expect(await studio.json('/api/runs/grpo/rollouts/3/answers/9999')).toMatchObject({
      error: { message: expect.stringContaining('row 9999') },
    })
  })

  it('give margins of preferences, the displaced first', async () => {
    const evaluation = JSON.parse(readFileSync(join(runs, 'dpo/model/evaluation.json'), 'utf8')) as {
      metrics: { margin: { value: number } }
    }
    const page = await studio.json<PreferencePage>('/api/runs/dpo/preferences?count=200')
    expect(page.margin.mean).toBeCloseTo(evaluation.metrics.margin.value, 10)
    expect(page.rows).toHaveLength(page.total)
    const edited = await studio.json<PreferencePage>('/api/runs/displaced/preferences')
    expect(edited.displaced).toBe(page.displaced! + 1)
    expect(edited.rows[0]).toMatchObject({ displaced: true, margin: expect.closeTo(-3, 6) })
    expect(edited.rows[0].answers).toMatchObject([
      { quality: 'chosen', ratio: expect.closeTo(-2, 6) },
      { quality: 'rejected', ratio: expect.closeTo(1, 6) },
    ])
    const ordered = await studio.json<PreferencePage>('/api/runs/displaced/preferences?order=largest&count=200')
    const margins = ordered.rows.map(({ margin }) => margin!)
    expect(margins).toEqual([...margins].sort((a, b) => b - a))
    expect(edited.histogram.reduce((sum, { count }) => sum + count, 0)).toBe(edited.total)
    const unmeasured = await studio.json<PreferencePage>('/api/runs/no-base/preferences')
    expect(unmeasured).toMatchObject({ displaced: null, wrong: 0, margin: { mean: null }, histogram: [] })
    expect(unmeasured.rows[0]).toMatchObject({ displaced: null, margin: null })
    expect(await studio.json('/api/runs/grpo/preferences')).toMatchObject({
      error: { message: expect.stringContaining('learned from preferences') },
    })
  })
})

describe.skipIf(browserPath === undefined)('the page in Chromium', () => {
  it('goes through the rollouts and reads an answer token by token', async () => {
    const watched = await studio.open('#/alignment/grpo')
    const { page } = watched
    const chart = page.getByRole('figure', { name: 'Reward against KL divergence from the reference' })
    await chart.getByText('best of 4 of the base', { exact: true }).waitFor()
    await page.getByText('Rollout 3 of 3').waitFor()
    await page.getByRole('slider', { name: 'Rollout' }).press('ArrowLeft')
    await page.getByText('Rollout 2 of 3').waitFor()
    expect(page.url()).toContain('rollout=2')
    await page.getByText(/^[1-6] of 6 groups without variance$/).waitFor()
    await page.getByRole('button', { name: 'Read answer 4' }).click()
    await page.getByText('so all of its tokens have one colour').waitFor()
    await page.getByLabel('Colour').selectOption('kl')
    const rows = await readRollout(fileOf(2))
    expect(await page.locator('.token').count()).toBe(rows[4].completionIds.length)
    await studio.checkAndClose(watched)
  })

  it('gets the rollouts of a run while it trains, without a reload', async () => {
    const out = join(runs, 'live')
    let release = () => {}
    const released = new Promise<void>((resolve) => {
      release = resolve
    })
    // The second step waits in its rewards until the page has shown the first one, however slow the page is.
    const waiting = async (samples: Parameters<typeof sometimes>[0]) => {
      if (existsSync(join(out, 'rollouts', rolloutFile(1)))) await released
      return sometimes(samples)
    }
    const done = train({ ...prompted(), objective: 'grpo', rewards: [waiting], settings: { beta: 0.05 }, out })
    try {
      await expect.poll(() => existsSync(join(out, 'rollouts', rolloutFile(1))), { timeout: 300_000 }).toBe(true)
      const watched = await studio.open('#/alignment/live')
      const { page } = watched
      await page.getByText('Rollout 1 of 1').waitFor()
      const { row } = await studio.json<RunDetails>('/api/runs/live')
      expect(row.state).toBe('running')
      // What it reads, meanwhile.
      const list = await studio.open('#/data')
      await list.page.getByRole('link', { name: 'prompts.jsonl' }).first().click()
      await list.page.getByText('hi 3:').first().waitFor()
      await studio.checkAndClose(list)
      release()
      await page.getByText('Rollout 3 of 3').waitFor()
      await done
      await studio.checkAndClose(watched)
    } finally {
      release()
      await done
    }
  })

  it('shows displaced preferences first, narrow', async () => {
    const watched = await studio.open('#/alignment/displaced', { width: 380 })
    const { page } = watched
    await page.getByRole('table').getByRole('row').nth(1).getByText('displaced', { exact: true }).waitFor()
    await page.getByRole('figure', { name: 'Histogram of margins' }).waitFor()
    await page.getByLabel('Order').selectOption('largest')
    expect(page.url()).toContain('order=largest')
    const width = await page.evaluate('document.documentElement.scrollWidth')
    expect(width).toBeLessThanOrEqual(380)
    await studio.checkAndClose(watched)
  })
})
