// Advantage estimators on cases small enough to compute by hand, and the rules that others break: answers without a score,
// masked answers, groups of equal scores. tests/alignment/reinforcement compares with TRL.
import { describe, expect, it } from 'vitest'
import { advantageSchema, advantages, estimateAdvantages, groupFacts, type ScoredAnswer } from './index.ts'

const answer = (group: number, score: number | null, more: Partial<ScoredAnswer> = {}): ScoredAnswer => ({
  group,
  rewards: [score],
  score,
  mask: Uint8Array.of(1, 1),
  finished: true,
  values: [0, 0, 0],
  greedyScore: 0,
  ...more,
})
const firsts = (answers: ScoredAnswer[], config: object): number[] =>
  estimateAdvantages(answers, advantageSchema.parse(config)).advantages.map(([first]) => first)
const close = (found: ArrayLike<number>, expected: readonly number[], digits = 5) =>
  expected.forEach((value, i) => {
    expect(found[i], `place ${i}`).toBeCloseTo(value, digits)
  })

describe('group-relative', () => {
  it('subtracts the mean of the group and divides by the chosen deviation', () => {
    const answers = [answer(0, 1), answer(0, 3), answer(1, 0), answer(1, 0)]
    close(firsts(answers, { type: 'group-relative', epsilon: 0 }), [-Math.SQRT1_2, Math.SQRT1_2, 0, 0])
    close(firsts(answers, { type: 'group-relative', scale: 'none' }), [-1, 1, 0, 0])
    // Scores 1, 3, 0, 0: mean 1, variance (0 + 4 + 1 + 1) / 3 = 2.
    close(firsts(answers, { type: 'group-relative', scale: 'batch', epsilon: 0 }), [-Math.SQRT1_2, Math.SQRT1_2, 0, 0])
  })

  it('gives 0 to groups of equal scores whatever rounding does to their mean', () => {
    // (0.1 + 0.1 + 0.1) / 3 is not 0.1 in floating point.
    const answers = [answer(0, 0.1), answer(0, 0.1), answer(0, 0.1)]
    expect((0.1 + 0.1 + 0.1) / 3).not.toBe(0.1)
    expect(firsts(answers, { type: 'group-relative', epsilon: 0 })).toEqual([0, 0, 0])
    expect(groupFacts(answers)).toEqual({ groups: 1, withoutVariance: [0], unscored: 0 })
  })
})

it('rloo subtracts the mean of the other answers', () => {
  const answers = [answer(0, 1), answer(0, 2), answer(0, 6)]
  close(firsts(answers, { type: 'rloo' }), [1 - 4, 2 - 3.5, 6 - 1.5])
})

it('rewards of tokens, such as the KL penalty, belong to the score of their answer', () => {
  const answers = [answer(0, 1, { tokenRewards: [-0.25, -0.25] }), answer(0, 2)]
  close(firsts(answers, { type: 'rloo' }), [0.5 - 2, 2 - 0.5])
  const masked = [answer(0, 1, { tokenRewards: [-0.25, -9], mask: Uint8Array.of(1, 0) }), answer(0, 2)]
  close(firsts(masked, { type: 'rloo' }), [0.75 - 2, 2 - 0.75])
})

it('reinforce gives each token the rewards from it on, with the score at the end', () => {
  const answers = [answer(0, 4, { tokenRewards: [1, 2] }), answer(1, 2)]
  const estimate = (config: object) => estimateAdvantages(answers, advantageSchema.parse(config)).advantages
  close(estimate({ type: 'reinforce' })[0], [7, 6])
  close(estimate({ type: 'reinforce', gamma: 0.5 })[0], [1 + 0.5 * 6, 6])
  // The baseline of each answer is the score of the other.
  close(estimate({ type: 'reinforce', baseline: 'batch' })[0], [7 - 2, 6 - 2])
  close(estimate({ type: 'reinforce', baseline: 'batch' })[1], [-2, -2])
})

it('reinforce-plus-plus normalises over all trained tokens of the batch', () => {
  const answers = [answer(0, 1), answer(0, 3), answer(1, 6, { mask: Uint8Array.of(1, 1, 0, 1) })]
  // Seven tokens: 1, 1, 3, 3, 6, 6, 6. Mean 26/7; variance with Bessel's correction.
  const tokens = [1, 1, 3, 3, 6, 6, 6]
  const mean = 26 / 7
  const deviation = Math.sqrt(tokens.reduce((sum, value) => sum + (value - mean) ** 2, 0) / 6 + 1e-8)
  const found = estimateAdvantages(answers, advantageSchema.parse({ type: 'reinforce-plus-plus' })).advantages
  close(found[0], [(1 - mean) / deviation, (1 - mean) / deviation])
  const last = (6 - mean) / deviation
  close(found[2], [last, last, 0, last])
  // With the mean of the group: −1, 1, and 0 for the answer that is alone.
  const based = estimateAdvantages(answers, advantageSchema.parse({ type: 'reinforce-plus-plus', baseline: 'group' }))
  const spread = Math.sqrt(4 / 6 + 1e-8)
  close(based.advantages[0], [-1 / spread, -1 / spread])
  close(based.advantages[2], [0, 0, 0, 0])
})

it('remax subtracts the score of the greedy answer, and needs it', () => {
  close(firsts([answer(0, 3, { greedyScore: 1 })], { type: 'remax' }), [2])
  expect(firsts([answer(0, 3, { greedyScore: null })], { type: 'remax' })).toEqual([0])
  expect(() => firsts([answer(0, 3, { greedyScore: undefined })], { type: 'remax' })).toThrow(/greedy answer/)
})

describe('gae', () => {
  const config = { type: 'gae', whiten: false, gamma: 0.9, lambda: 0.8 }

  it('computes δ + γλA from the last token to the first, and returns A + V', () => {
    const answers = [answer(0, 2, { values: [0.5, 1, 9] })]
    const found = estimateAdvantages(answers, advantageSchema.parse(config))
    const second = 2 - 1
    const first = 0.9 * 1 - 0.5 + 0.9 * 0.8 * second
    close(found.advantages[0], [first, second])
    close(found.returns![0], [first + 0.5, second + 1])
  })

  it('passes over tokens of tools: neither their values nor their places matter', () => {
    const plain = [answer(0, 2, { values: [0.5, 1], tokenRewards: [0.25, 0] })]
    const withTool = [
      answer(0, 2, { mask: Uint8Array.of(1, 0, 0, 1), values: [0.5, 77, -77, 1], tokenRewards: [0, 0.25, 0, 0] }),
    ]
    const [a, b] = [plain, withTool].map((answers) => estimateAdvantages(answers, advantageSchema.parse(config)))
    // A reward of the tool belongs to the token before it.
    close(b.advantages[0], [a.advantages[0][0], 0, 0, a.advantages[0][1]])
    close(b.returns![0], [a.returns![0][0], 0, 0, a.returns![0][1]])
  })

  it('has a λ of its own for the targets of the critic', () => {
    const answers = [answer(0, 2, { values: [0.5, 1, 0] })]
    const found = estimateAdvantages(
      answers,
      advantageSchema.parse({ ...config, gamma: 1, lambda: 0, criticLambda: 1 }),
    )
    close(found.advantages[0], [0.5, 1])
    close(found.returns![0], [2, 2])
  })

  it('names missing values of the critic', () => {
    const answers = [answer(0, 2, { values: [0.5] })]
    expect(() => estimateAdvantages(answers, advantageSchema.parse(config))).toThrow(
      'Expected 2 values of the critic for an answer of 2 tokens, got 1.',
    )
    const afterEnd = { ...config, scoreAt: 'after-end' }
    expect(() => estimateAdvantages([answer(0, 2, { values: [0.5, 1] })], advantageSchema.parse(afterEnd))).toThrow(
      'Expected 3 values',
    )
  })
})

describe.each(Object.keys(advantages))('%s', (type) => {
  const config = advantageSchema.parse({ type })
  const scored = [answer(0, 1), answer(0, 3), answer(1, -2), answer(1, 5)]

  it('gives answers without a score and masked answers an advantage of 0, and no vote', () => {
    const reference = estimateAdvantages(scored, config).advantages
    const extra = [
      answer(0, null),
      answer(1, 1000, { excluded: true }),
      answer(2, null),
      answer(2, 40, { excluded: true }),
    ]
    const found = estimateAdvantages([...scored, ...extra], config).advantages
    for (const i of scored.keys()) close(found[i], [...reference[i]])
    for (const own of found.slice(scored.length)) expect([...own]).toEqual([0, 0])
  })

  it('does not depend on the order of the answers', () => {
    const reference = estimateAdvantages(scored, config).advantages
    const order = [2, 0, 3, 1]
    const found = estimateAdvantages(
      order.map((i) => scored[i]),
      config,
    ).advantages
    for (const [k, i] of order.entries()) close(found[k], [...reference[i]])
  })

  it('takes a batch of one answer, and an empty one', () => {
    const [own] = estimateAdvantages([answer(0, 2)], config).advantages
    expect([...own].every(Number.isFinite)).toBe(true)
    expect(estimateAdvantages([], config).advantages).toEqual([])
  })
})

it('gdpo counts penalties as one more reward', () => {
  const of = (reward: number, score: number) => answer(0, score, { rewards: [reward] })
  const plain = firsts([of(1, 1), of(2, 2), of(3, 3)], { type: 'gdpo' })
  const punished = firsts([of(1, 1), of(2, 2 - 5), of(3, 3)], { type: 'gdpo' })
  close(plain, [-1, 0, 1], 3)
  // Columns −1, 0, 1 and 1/√3, −2/√3, 1/√3; their sums are normalised again.
  const sums = [-1 + 1 / Math.sqrt(3), -2 / Math.sqrt(3), 1 + 1 / Math.sqrt(3)]
  const deviation = Math.sqrt(sums.reduce((sum, value) => sum + value ** 2, 0) / 2)
  close(
    punished,
    sums.map((sum) => sum / deviation),
    3,
  )
})
