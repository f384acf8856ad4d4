// Rewards that read the answer alone: worked out by hand, and the gsm8k rules by the harness's definition (tests/tasks/metrics.test.ts holds
// the metric itself to it). The contract runs over every registered reward.
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import {
  defineReward,
  openRewards,
  parseReward,
  type RewardInput,
  type RewardSample,
  registerReward,
  rewardSchema,
  rewards,
  rewardTypes,
  scoreSamples,
} from '../../../src/alignment/index.ts'
import { bertJson } from '../../../src/tokenizers/legacy-files.ts'
import { Tokenizer } from '../../../src/tokenizers/tokenizer.ts'
import { rewardFunction, sample } from './samples.ts'

const tokenizer = new Tokenizer(bertJson(['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]', 'a'].join('\n')))

const scores = async (input: RewardInput, samples: readonly RewardSample[]) => {
  const functions = await openRewards([input], { tokenizer })
  return (await scoreSamples(functions, samples)).scores.map(({ reward }) => reward)
}
const text = (completion: string, reference?: string) =>
  sample(completion, reference === undefined ? {} : { reference })

describe('numeric-match', () => {
  const gold = '6 * 7 = <<6*7=42>>42\n#### 42'
  it('compares the number after the marker, else the last one, with the reference', async () => {
    const answers = ['So 7 apples, #### 42', 'It is 42.', '$42.00', '#### 41, not 42', 'none', '']
    expect(
      await scores(
        'numeric-match',
        answers.map((one) => text(one, gold)),
      ),
    ).toEqual([1, 1, 1, 0, 0, 0])
    expect(
      await scores({ type: 'numeric-match', rule: 'strict', right: 1, wrong: -1 }, [
        text('#### 42', gold),
        text('It is 42.', gold),
      ]),
    ).toEqual([1, -1])
  })

  it('scores nothing without a number in the reference, and reads a column instead', async () => {
    expect(await scores('numeric-match', [text('42', 'unknown'), text('42')])).toEqual([null, null])
    const record = { ...text('').record, fields: { answer: 42, both: ['41', 42n], none: null } }
    const ask = (column: string) => scores({ type: 'numeric-match', column }, [sample('42', { record })])
    expect(await ask('answer')).toEqual([1])
    expect(await ask('both')).toEqual([1])
    expect(await ask('none')).toEqual([null])
    await expect(ask('gold')).rejects.toThrow(/Expected one of answer, both, none for `column` of the reward, got gold/)
  })
})

describe('metrics of texts', () => {
  it('are rewards by name', async () => {
    const samples = [text('The Eiffel Tower!', 'eiffel tower'), text('A tower', 'eiffel tower'), text('x')]
    expect(await scores('exact-match', samples)).toEqual([1, 0, null])
    expect(await scores({ type: 'exact-match', normalized: false }, samples)).toEqual([0, 0, null])
    // Words "tower" and "eiffel tower": precision 1, recall 1/2.
    const [whole, part] = await scores('text-metric:metric=tokenF1', samples)
    expect(whole).toBe(1)
    expect(part).toBeCloseTo(2 / 3, 12)
    // ROUGE-L of "a tower" and "eiffel tower": the common subsequence is one of two words.
    expect((await scores('text-metric:metric=rougeL', samples))[1]).toBeCloseTo(0.5, 12)
    await expect(scores('text-metric:metric=rouge', samples)).rejects.toThrow(/Expected one of rouge1, /)
  })
})

describe('regular-expression', () => {
  it('matches anywhere, or as it is anchored', async () => {
    const samples = [text('#### 42'), text('#### 42\nmore'), text('42')]
    expect(await scores({ type: 'regular-expression', pattern: '#### \\d+' }, samples)).toEqual([1, 1, 0])
    expect(await scores({ type: 'regular-expression', pattern: '^#### \\d+$' }, samples)).toEqual([1, 0, 0])
    expect(
      await scores({ type: 'regular-expression', pattern: 'BUT|also', flags: 'i', maximum: 2 }, [
        text('but Also but'),
        text('but'),
        text(''),
      ]),
    ).toEqual([1, 0.5, 0])
  })

  it('refuses patterns that are none, and patterns that backtrack without end', async () => {
    const open = (pattern: string, flags = '') => scores({ type: 'regular-expression', pattern, flags }, [])
    await expect(open('(')).rejects.toThrow(/Expected a regular expression for `pattern`/)
    await expect(open('a', 'g')).rejects.toThrow(/`flags`/)
    await expect(open('(a+)+$')).rejects.toThrow(/takes too long on short texts/)
  })

  it('stops a match that takes too long on an answer, and fails for that answer alone', async () => {
    // Cubic: harmless on the short texts of the check, but not on what a model may write.
    const [reward] = await openRewards(
      [{ type: 'regular-expression', pattern: '\\s*x?\\s*y?\\s*$z', onFailure: 'null' }],
      { tokenizer },
    )
    const { scores: found, functions } = await scoreSamples([reward], [text('plain'), text(' '.repeat(20_000))])
    expect(found.map((one) => one.reward)).toEqual([0, null])
    expect(functions[0].failures).toEqual({ timeout: 1 })
    expect(functions[0].lastFailure).toMatch(/takes more than 250 ms on an answer of 20000 characters/)
  })
})

describe('sections', () => {
  const good = '<think>two\nlines</think>\n<answer>42</answer>'
  it('accepts the form alone', async () => {
    const answers = [
      good,
      `  ${good}\n`,
      `Well: ${good}`,
      `${good} so`,
      `${good}${good}`,
      '<think>a</think>',
      '<answer>42</answer><think>a</think>',
      '<think><answer>1</answer></think><answer>42</answer>',
      '<think><think></think><answer>42</answer>',
      '<think>a<answer>42</answer>',
      '',
    ]
    expect(
      await scores(
        'sections',
        answers.map((one) => text(one)),
      ),
    ).toEqual([1, 1, ...answers.slice(2).map(() => 0)])
  })

  it('gives a share for tags that are there once, and knows prompts that open the first section', async () => {
    expect(
      await scores('sections:partial=0.4', [text('<think>a</think> 42'), text(`${good}</answer>`), text(good)]),
    ).toEqual([0.2, expect.closeTo(0.3, 12), 1])
    const rest = text(good.slice('<think>'.length))
    expect(await scores('sections:begins=true', [rest, text(good)])).toEqual([1, 0])
    expect(await scores('sections:sections=plan+code', [text('<plan>a</plan><code>b</code>')])).toEqual([1])
  })
})

describe('length, repetition and end', () => {
  it('costs a length, or the distance from a target', async () => {
    const samples = [sample('one two', { completionIds: [1, 2, 3] }), sample('', { completionIds: [] })]
    expect(await scores('length:cost=0.5', samples)).toEqual([-1.5, 0])
    expect(await scores('length:target=2', samples)).toEqual([-0.5, -1])
    expect(await scores('length:target=2,unit=words', samples)).toEqual([0, -1])
    expect(await scores('length:cost=-1,unit=characters', [text('aé😀')])).toEqual([3])
    await expect(scores('length', samples)).rejects.toThrow(/needs one of `target` and `cost`/)
  })

  it('counts repeated n-grams', async () => {
    const samples = [
      // a b c, b c a, c a b, a b c: one of four.
      sample('a b c A b c', { completionIds: [7, 7, 7, 7] }),
      sample('a b c', { completionIds: [1, 2, 3, 4] }),
      sample('', { completionIds: [] }),
    ]
    expect(await scores('repetition', samples)).toEqual([-0.25, 0, 0])
    // 7 7, 7 7, 7 7: two of three.
    expect(await scores('repetition:n=2,unit=tokens', samples)).toEqual([expect.closeTo(-2 / 3, 12), 0, 0])
  })

  it('sees whether the policy ended the answer', async () => {
    const ends = (['eos', 'stop', 'length', 'aborted'] as const).map((finishReason) => sample('a', { finishReason }))
    expect(await scores('finished:truncated=-1', ends)).toEqual([1, 1, -1, -1])
  })

  it('passes on what the environment gave', async () => {
    const episode = { messages: [], reward: 0.25 }
    expect(await scores('environment', [sample('a', { episode }), text('a')])).toEqual([0.25, null])
  })
})

/** Settings without which a reward cannot be opened here. */
const needed: { readonly [type: string]: object } = {
  'text-metric': { metric: 'rougeL' },
  'regular-expression': { pattern: 'a' },
  length: { target: 10 },
}
const withoutFiles = rewardTypes().filter((type) => !['reward-model', 'classifier', 'http', 'code'].includes(type))

describe('every reward', () => {
  it.each(Object.values(rewards))('says what it is: $type', ({ type, summary, source, config }) => {
    expect(summary).toMatch(/^[A-Z].*\.$/)
    expect(source).not.toBe('')
    for (const [name, field] of Object.entries(config.shape))
      expect((field as z.ZodType).description, `${type}.${name}`).toBeTruthy()
  })

  it.each(withoutFiles)('does not depend on the batch, its order or the rest: %s', async (type) => {
    const input = parseReward({ type, ...needed[type] } as never)
    const samples = ['', 'a', '42', 'a a a a a', '<think></think>', '\0', '😀'.repeat(50)].map((one, i) =>
      sample(one, { reference: '42', finishReason: i % 2 === 0 ? 'eos' : 'length' }),
    )
    const forwards = await scores(input, samples)
    expect((await scores(input, [...samples].reverse())).reverse()).toEqual(forwards)
    for (const [i, one] of samples.entries()) expect(await scores(input, [one])).toEqual([forwards[i]])
  })
})

describe('rewards of a recipe', () => {
  it('are settings, short forms, functions, and objects with a name and a weight', async () => {
    const lengthOf = (samples: readonly RewardSample[]) => samples.map(({ completion }) => completion.length)
    const functions = await openRewards(
      [
        { type: 'finished', weight: 0.5 },
        'length:cost=1,name=short,onFailure=null,timeoutSeconds=2',
        lengthOf,
        (samples) => samples.map(() => 1),
        rewardFunction(() => [3], { name: 'mine', weight: 2 }),
      ],
      { tokenizer },
    )
    expect(functions.map(({ name, weight }) => [name, weight])).toEqual([
      ['finished', 0.5],
      ['short', 1],
      ['lengthOf', 1],
      ['reward-4', 1],
      ['mine', 2],
    ])
    expect(functions[1]).toMatchObject({ onFailure: 'null', timeoutSeconds: 2 })
    // 0.5 - 2 + 2 + 1 + 6
    expect((await scoreSamples(functions, [sample('ab')])).scores[0].reward).toBe(7.5)
  })

  it('are refused with a sentence that helps', async () => {
    const open = (...inputs: unknown[]) => openRewards(inputs as RewardInput[], { tokenizer })
    await expect(open('numeric-mach')).rejects.toThrow(/for `rewards\[0\]`, got "numeric-mach".*numeric-match/)
    await expect(open({ weight: 1 })).rejects.toThrow(/for `rewards\[0\].type`, got nothing/)
    await expect(open('finished', { type: 'finished' })).rejects.toThrow(/got `finished` twice/)
    await expect(open('length:target')).rejects.toThrow(/Expected option=value/)
    await expect(open({ type: 'length', target: 1, colour: 'red' })).rejects.toThrow(/`colour`/)
    await expect(open({ name: 'a', weight: Number.NaN, score: () => [] })).rejects.toThrow(/finite number for `rewards/)
  })

  it('cache what takes time or is asked to', async () => {
    const [plain, kept] = await openRewards(['finished', 'length:cost=1,cache=true'], { tokenizer })
    expect(plain.identity).toBeUndefined()
    expect(kept.identity).toContain('"cost":1')
    const [heavier] = await openRewards(['length:cost=1,cache=true,weight=3,name=other'], { tokenizer })
    expect(heavier.identity).toBe(kept.identity)
  })

  it('know rewards that a module registers', async () => {
    registerReward(
      defineReward({
        type: 'vowels',
        source: 'this test',
        summary: 'Vowels of the answer.',
        config: z.strictObject({ each: z.number().default(1).describe('reward of a vowel') }),
        open: ({ each }) => ({
          score: (samples) => samples.map(({ completion }) => each * (completion.match(/[aeiou]/g) ?? []).length),
        }),
      }),
    )
    expect(await scores('vowels:each=2', [text('audio')])).toEqual([8])
    expect(rewardSchema.safeParse({ type: 'vowels', each: 1 }).success).toBe(true)
  })
})
