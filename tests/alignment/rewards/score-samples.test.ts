// Scoring with reward functions: weights, limits, failures of every kind, and caches. Expected sums are worked out by hand.
import { appendFile, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, describe, expect, it } from 'vitest'
import {
  checkRewards,
  openRewardCache,
  RewardError,
  type RewardFunction,
  scoreSamples,
} from '../../../src/alignment/index.ts'
import { ConfigError } from '../../../src/core/index.ts'
import { rewardFunction, sample } from './samples.ts'

const folder = await mkdtemp(join(tmpdir(), 'rewards-'))
afterAll(() => rm(folder, { recursive: true }))

const samples = ['a', 'bb', 'ccc', 'dddd', 'eeeee'].map((text) => sample(text))
const lengths = (more = {}) => rewardFunction((some) => some.map(({ completion }) => completion.length), more)

describe('the weighted sum', () => {
  it('adds the functions with their weights, in the order of the samples', async () => {
    const half = rewardFunction((some) => some.map(({ completion }) => (completion === 'bb' ? null : 0.5)), {
      name: 'half',
      weight: -2,
    })
    const { scores, functions } = await scoreSamples([lengths({ weight: 3 }), half], samples)
    expect(scores.map(({ reward }) => reward)).toEqual([2, 6, 8, 11, 14])
    expect(scores.map(({ rewards }) => rewards)).toEqual([
      [1, 0.5],
      [2, null],
      [3, 0.5],
      [4, 0.5],
      [5, 0.5],
    ])
    // Population deviation of 1 … 5.
    expect(functions[0]).toMatchObject({ name: 'test', samples: 5, unscored: 0, failed: 0, calls: 1, mean: 3 })
    expect(functions[0].deviation).toBeCloseTo(Math.SQRT2, 12)
    expect(functions[1]).toMatchObject({ name: 'half', unscored: 1, failed: 0, mean: 0.5, deviation: 0 })
  })

  it('is null where no function applies, and with nothing to score', async () => {
    const none = rewardFunction((some) => some.map(() => null))
    expect((await scoreSamples([none, none], samples)).scores[0]).toEqual({ rewards: [null, null], reward: null })
    expect((await scoreSamples([lengths()], [])).scores).toEqual([])
  })

  it('does not depend on the size of calls, on the order in which they end, or on the batch', async () => {
    const slow = (samplesPerCall: number) =>
      rewardFunction(
        async (some) => {
          await wait(some[0].completion.length % 2 === 0 ? 1 : 15)
          return some.map(({ completion }) => completion.length)
        },
        { samplesPerCall },
      )
    for (const size of [1, 2, 100]) {
      const { scores, functions } = await scoreSamples([slow(size)], samples, { concurrency: 3 })
      expect(scores.map(({ reward }) => reward)).toEqual([1, 2, 3, 4, 5])
      expect(functions[0].calls).toBe(Math.ceil(5 / size))
    }
  })

  it('makes no more calls at a time than it may', async () => {
    let [running, most] = [0, 0]
    const counted = (more = {}) =>
      rewardFunction(
        async (some) => {
          most = Math.max(most, ++running)
          await wait(2)
          running--
          return some.map(() => 1)
        },
        { samplesPerCall: 1, ...more },
      )
    await scoreSamples([counted()], samples, { concurrency: 2 })
    expect(most).toBe(2)
    most = 0
    await scoreSamples([counted({ concurrency: 1 })], samples, { concurrency: 4 })
    expect(most).toBe(1)
    await expect(scoreSamples([counted()], samples, { concurrency: 0 })).rejects.toThrow(/above 0/)
  })
})

/** Functions that fail, and what is said of them. */
const failing: [string, RewardFunction['score'], string, RegExp][] = [
  [
    'throws',
    () => {
      throw new TypeError('no such column')
    },
    'error',
    /`test` threw TypeError: no such column/,
  ],
  ['rejects', () => Promise.reject('text'), 'error', /`test` threw "text"/],
  ['waits for ever', () => new Promise(() => {}), 'timeout', /within 0.05 s/],
  ['returns too few', () => [1], 'wrong-count', /Expected 5 rewards from `test`, one for each answer, got 1/],
  ['returns no list', () => 1 as never, 'wrong-count', /got 1/],
  ['returns nothing', () => undefined as never, 'wrong-count', /got nothing/],
  ['returns NaN', (some) => some.map(() => Number.NaN), 'not-a-number', /finite number or null .* got NaN/],
  ['returns infinity', (some) => some.map(() => Number.POSITIVE_INFINITY), 'not-a-number', /got Infinity/],
  ['returns text', (some) => some.map(() => '1' as never), 'not-a-number', /got "1"/],
  ['returns holes', () => new Array(5), 'not-a-number', /got nothing/],
]

describe.each(failing)('a function that %s', (_, score, failure, message) => {
  const limits = { timeoutSeconds: failure === 'timeout' ? 0.05 : 60 }

  it('stops the run with an error that names it', async () => {
    const run = scoreSamples([lengths({ name: 'other' }), rewardFunction(score, limits)], samples)
    await expect(run).rejects.toThrow(RewardError)
    await expect(run).rejects.toThrow(message)
  })

  it('leaves its samples without a reward and counts them', async () => {
    const failed = rewardFunction(score, { ...limits, onFailure: 'null' })
    const { scores, functions } = await scoreSamples([lengths({ name: 'other' }), failed], samples)
    expect(scores.map(({ rewards }) => rewards)).toEqual([1, 2, 3, 4, 5].map((length) => [length, null]))
    // A sum without one of its parts would be a wrong reward.
    expect(scores.every(({ reward }) => reward === null)).toBe(true)
    expect(functions[1]).toMatchObject({ failed: 5, failures: { [failure]: 5 }, unscored: 0, mean: Number.NaN })
    expect(functions[1].lastFailure).toMatch(message)
  })
})

describe('failures', () => {
  it('interrupt a function that blocks the thread', async () => {
    const blocking = rewardFunction(
      () => {
        for (;;);
      },
      { timeoutSeconds: 0.05 },
    )
    await expect(scoreSamples([blocking], samples)).rejects.toThrow(/within 0.05 s/)
    expect((await scoreSamples([lengths()], samples)).scores[4].reward).toBe(5)
  })

  it('are tried again, only for the samples that failed', async () => {
    const asked: number[] = []
    const flaky = rewardFunction(
      (some) => {
        asked.push(some.length)
        if (asked.length === 1) throw new Error('busy')
        return some.map(({ completion }) =>
          asked.length === 2 && completion.length > 3 ? Number.NaN : completion.length,
        )
      },
      { attempts: 3 },
    )
    const { scores, functions } = await scoreSamples([flaky], samples)
    expect(scores.map(({ reward }) => reward)).toEqual([1, 2, 3, 4, 5])
    expect(asked).toEqual([5, 5, 2])
    expect(functions[0]).toMatchObject({ calls: 3, failed: 0 })
  })

  it('of settings stop the run whatever the policy is', async () => {
    const wrong = rewardFunction(
      () => {
        throw new ConfigError('Expected a column.')
      },
      { onFailure: 'null', attempts: 3 },
    )
    await expect(scoreSamples([wrong], samples)).rejects.toThrow(ConfigError)
  })

  it('of many calls that share a signal give no warning', async () => {
    const warnings: string[] = []
    const onWarning = ({ message }: Error) => void warnings.push(message)
    process.on('warning', onWarning)
    const slow = rewardFunction((some) => wait(2).then(() => some.map(() => 1)), { samplesPerCall: 1 })
    const many = Array.from({ length: 40 }, (_, i) => sample(String(i)))
    await scoreSamples([slow], many, { concurrency: 40, signal: new AbortController().signal })
    await wait(1)
    process.off('warning', onWarning)
    expect(warnings).toEqual([])
  })

  it('that cannot be repaired are not tried again', async () => {
    let calls = 0
    const refused = rewardFunction(
      () => {
        calls++
        throw new RewardError('No such address.', { retry: false })
      },
      { attempts: 5 },
    )
    await expect(scoreSamples([refused], samples)).rejects.toThrow('No such address.')
    expect(calls).toBe(1)
  })

  it('tell the function by its signal, and stop the other calls', async () => {
    const seen: boolean[] = []
    const watching = rewardFunction(
      (_, { signal }) =>
        new Promise((resolve) => {
          signal.addEventListener('abort', () => {
            seen.push(true)
            resolve([])
          })
        }),
      { timeoutSeconds: 60, name: 'watching' },
    )
    const late = rewardFunction(async () => {
      await wait(5)
      throw new Error('broken')
    })
    await expect(scoreSamples([watching, late], samples)).rejects.toThrow(/broken/)
    expect(seen).toEqual([true])
  })

  it('end at once when the run is stopped', async () => {
    const controller = new AbortController()
    const never = rewardFunction(() => new Promise(() => {}))
    const run = scoreSamples([never], samples, { signal: controller.signal })
    setTimeout(() => controller.abort(new Error('stopped by the user')), 5)
    await expect(run).rejects.toThrow('stopped by the user')
    await expect(scoreSamples([lengths()], samples, { signal: controller.signal })).rejects.toThrow('stopped')
  })
})

describe('the cache', () => {
  const counting = (identity: string | undefined) => {
    const asked: string[] = []
    const reward = rewardFunction(
      (some) => {
        asked.push(...some.map(({ completion }) => completion))
        return some.map(({ completion }) => (completion === 'a' ? null : completion.length))
      },
      { identity },
    )
    return { reward, asked }
  }

  it('keeps rewards by function and by everything in the sample', async () => {
    const cache = await openRewardCache()
    const { reward, asked } = counting('one')
    const again = [...samples].reverse()
    await scoreSamples([reward], samples, { cache })
    const { scores, functions } = await scoreSamples([reward], again, { cache })
    expect(scores.map((score) => score.reward)).toEqual([5, 4, 3, 2, null])
    expect(functions[0]).toMatchObject({ cached: 5, calls: 0, unscored: 1 })
    expect(asked).toHaveLength(5)
    const others = [
      sample('bb', { prompt: 'Why?' }),
      sample('bb', { reference: '42' }),
      sample('bb', { completionIds: [9] }),
      sample('bb', { finishReason: 'length' }),
      sample('bb', { record: { ...samples[0].record, fields: { other: 10n } } }),
      sample('bb', { episode: { messages: [], reward: 1 } }),
    ]
    await scoreSamples([reward], others, { cache })
    expect(asked).toHaveLength(5 + others.length)
    await scoreSamples([counting('two').reward], samples, { cache })
    expect(cache.size).toBe(5 + others.length + 5)
  })

  it('scores equal samples of a batch once, for functions with an identity', async () => {
    const many = [sample('x'), sample('yy'), sample('x'), sample('x')]
    for (const [identity, calls] of [
      ['one', 2],
      [undefined, 4],
    ] as const) {
      const { reward, asked } = counting(identity)
      const { scores, functions } = await scoreSamples([reward], many)
      expect(scores.map((score) => score.reward)).toEqual([1, 2, 1, 1])
      expect(asked).toHaveLength(calls)
      expect(functions[0].cached).toBe(4 - calls)
    }
  })

  it('has a limit, and drops what was used least recently', async () => {
    const cache = await openRewardCache({ limit: 2 })
    cache.set('a', 1)
    cache.set('b', 2)
    expect(cache.get('a')).toBe(1)
    cache.set('c', 3)
    expect([cache.get('a'), cache.get('b'), cache.get('c'), cache.size]).toEqual([1, undefined, 3, 2])
  })

  it('is read again from its file, also after a crash in the middle of a line', async () => {
    const path = join(folder, 'rewards.jsonl')
    const first = counting('one')
    await scoreSamples([first.reward], samples, { cache: await openRewardCache({ path }) })
    await appendFile(path, '["torn')
    const second = counting('one')
    const { scores } = await scoreSamples([second.reward], samples, { cache: await openRewardCache({ path }) })
    expect(scores.map(({ reward }) => reward)).toEqual([null, 2, 3, 4, 5])
    expect(second.asked).toEqual([])
    expect((await readFile(path, 'utf8')).trimEnd().split('\n')).toHaveLength(5)
  })

  it('has in its file what was scored before a failure that stops the run', async () => {
    const path = join(folder, 'stopped.jsonl')
    const failing = rewardFunction(
      (some) => {
        if (some[0].completion === 'ccc') throw new Error('down')
        return some.map(() => 1)
      },
      { identity: 'one', samplesPerCall: 1 },
    )
    const cache = await openRewardCache({ path })
    await expect(scoreSamples([failing], samples, { cache, concurrency: 1 })).rejects.toThrow(/down/)
    expect((await openRewardCache({ path })).size).toBe(2)
  })

  it('never keeps a failure', async () => {
    const cache = await openRewardCache()
    const failed = rewardFunction((some) => some.map(() => Number.NaN), { identity: 'one', onFailure: 'null' })
    await scoreSamples([failed], samples, { cache })
    expect(cache.size).toBe(0)
  })
})

describe('the pre-flight check', () => {
  it('accepts rewards that depend on the answer alone, and measures them', async () => {
    const constant = rewardFunction((some) => some.map(() => 2), { name: 'constant' })
    expect(await checkRewards([lengths({ identity: 'one' }), constant], samples)).toMatchObject([
      { name: 'test', samples: 5, unscored: 0, failed: 0, largestDifference: 0, constant: false },
      { name: 'constant', constant: true },
    ])
  })

  it('refuses rewards that depend on the batch, on the order, or on chance', async () => {
    const relative = rewardFunction((some) => some.map(({ completion }) => completion.length / some.length))
    await expect(checkRewards([relative], samples)).rejects.toThrow(/depends on the answer alone, got/)
    let calls = 0
    const drifting = rewardFunction((some) => some.map(() => calls++))
    await expect(checkRewards([lengths(), drifting], samples)).rejects.toThrow(/`test`/)
    const sometimes = rewardFunction((some) => some.map(() => (some.length > 1 ? 1 : null)))
    await expect(checkRewards([sometimes], samples)).rejects.toThrow(/null alone/)
  })

  it('refuses rewards that score nothing', async () => {
    const none = rewardFunction((some) => some.map(() => null))
    await expect(checkRewards([none], samples)).rejects.toThrow(/at least one of 5 answers from `test`/)
  })

  it('takes functions that are objects of a class', async () => {
    class Reward {
      readonly name = 'class'
      readonly weight = 1
      readonly #value = 4
      score(some: readonly unknown[]) {
        return some.map(() => this.#value)
      }
    }
    expect((await checkRewards([new Reward()], samples))[0]).toMatchObject({ name: 'class', constant: true })
  })
})
