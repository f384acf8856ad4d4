// Alignment runs whose answers have several turns with an environment: only the model's tokens are learned, limits end episodes, runs resume to
// the bit, and everything is kept.
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type EnvironmentFunction, readRollout, rolloutFiles } from '../../src/alignment/index.ts'
import { align, verifyResume } from '../../src/runs/index.ts'
import type { TrainingEvent } from '../../src/tracking/index.ts'
import { makeSmallAlignment, type SmallAlignment } from './small-alignment.ts'

let small: SmallAlignment
let prompts: string
beforeAll(async () => {
  small = await makeSmallAlignment('llama', { template: 'chatml' })
  prompts = small.rows(
    'prompts.jsonl',
    Array.from({ length: 12 }, (_, i) => ({ prompt: `hi ${i}`, answer: 'ho' })),
  )
})
afterAll(() => small.dispose())

/** Asks again for ever; each turn is rewarded by its length. */
const again: EnvironmentFunction = (messages) => ({
  messages: [{ role: 'user', content: 'ho' }],
  reward: (messages.at(-1)?.content.length ?? 0) / 100,
  done: false,
})

/** The share of tokens with an even number: episodes that are truncated at once have no reward of the environment. */
const share = (samples: readonly { completionIds: ArrayLike<number> }[]) =>
  samples.map(
    ({ completionIds }) => Array.from(completionIds).filter((id) => id % 2 === 0).length / completionIds.length,
  )

const recipe = (name: string, more: object = {}) =>
  ({
    objective: 'grpo',
    base: small.base,
    data: prompts,
    validationShare: 0.3,
    environment: again,
    rewards: [share, 'environment'],
    out: small.at(name),
    // A model that was never trained ends few turns, so that most episodes are truncated in their first one.
    rollout: { prompts: 4, answers: 4, maxNewTokens: 40 },
    episode: { maxTurns: 2 },
    budget: { steps: 1 },
    answers: { validation: 2, samples: 1 },
    untrainedBaseline: false,
    ...more,
  }) as unknown as Parameters<typeof align>[0]

describe('align with an environment', () => {
  it('writes answers in turns, keeps them, and resumes to the bit', async () => {
    const events: TrainingEvent[] = []
    const notes: string[] = []
    const { reason } = await align(recipe('turns'), {
      onEvent: (event) => events.push(event),
      onNote: (note) => notes.push(note),
    })
    expect(reason).toBe('finished')
    expect(notes.join('\n')).toMatch(/written in turns with the environment again/)
    expect(notes.join('\n')).toMatch(/were not ended by the environment/)
    const rollout = events.find(({ type }) => type === 'rollout')
    expect(rollout).toMatchObject({ metrics: { episodesCut: 1, episodesDone: 0, turns: expect.any(Number) } })
    const [file] = await rolloutFiles(join(small.at('turns'), 'rollouts'))
    const [row] = await readRollout(file)
    expect(row.mask).toHaveLength(row.completionIds.length)
    expect(JSON.parse(row.messages ?? '[]')[0]).toMatchObject({ role: 'user' })
    expect(['turns', 'truncated']).toContain(row.end)
    expect(await verifyResume(small.at('turns'), { steps: 1 })).toMatchObject({ equal: true, different: [] })
  })

  it('names settings that do not fit', async () => {
    const fault = (more: object) => align(recipe('wrong', more))
    await expect(fault({ environment: 'calculater' })).rejects.toThrow(/calculator/)
    await expect(fault({ environment: undefined, rewards: ['finished'] })).rejects.toThrow(/`episode` needs/)
    const alone = { environment: undefined, episode: undefined }
    for (const reward of ['environment', 'environment:weight=2', { type: 'environment', weight: 2 }])
      await expect(fault({ ...alone, rewards: [reward] })).rejects.toThrow(/reward `environment` needs `environment`/)
    await expect(fault({ ...alone, rewards: ['finished'], judge: 'environment:name=all' })).rejects.toThrow(
      /needs `environment`/,
    )
    await expect(fault({ objective: 'online-dpo' })).rejects.toThrow(/no `environment`/)
    await expect(fault({ objective: 'dpo' })).rejects.toThrow(/`environment`/)
  })
})
