// The loop's own rules: when it ends, what is due, averages, optimizers and schedules, precision, what it yields and in which order.
import { describe, expect, it } from 'vitest'
import { optimizers, scheduleAt, scheduleSchema, schedules } from '../../src/optim/index.ts'
import { liveTensors, noGrad, type Tensor } from '../../src/tensor/index.ts'
import { layerOfPath } from '../../src/training/data-parallel.ts'
import { type LoopState, type TrainingRun, train } from '../../src/training/index.ts'
import { eventsOf, kinds, lossesOf, objectiveOf, ofType, packedSource, runOf } from './small-loop.ts'

describe('the end', () => {
  it('of a budget of steps', async () => {
    const events = await eventsOf(runOf('gpt2', { budget: { steps: 3 } }))
    expect(events.map(({ type }) => type)).toEqual(['start', 'step', 'step', 'step', 'end'])
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'finished', step: 3 })
  })

  it('of a budget of tokens: the first step that reaches it, with the schedule at its end there', async () => {
    const steps = ofType(
      await eventsOf(runOf('gpt2', { budget: { tokens: 700 }, schedule: { type: 'linear' } })),
      'step',
    )
    const last = steps.length - 1
    expect(steps[last].tokens).toBeGreaterThanOrEqual(700)
    expect(steps[last - 1].tokens).toBeLessThan(700)
    expect(steps[last].totalSteps).toBe(steps.length)
    // The estimate before the first step was 160 tokens a step; from then on it is what steps took.
    for (const { step, totalSteps } of steps.slice(1))
      expect(Math.abs(totalSteps - Math.max(step, steps.length))).toBeLessThanOrEqual(1)
  })

  it.each([
    [1, 4, 10],
    [2, 4, 20],
    [0.5, 4, 5],
    [1, 7, 6],
  ])('of %s epochs of 40 examples by %s', async (epochs, sequences, expected) => {
    const steps = ofType(await eventsOf(runOf('gpt2', { budget: { epochs }, batch: { sequences } })), 'step')
    expect(steps).toHaveLength(expected)
    expect(steps.every(({ totalSteps }) => totalSteps === expected)).toBe(true)
  })

  it('of a budget of minutes, over all sessions of the run', async () => {
    const run = runOf('gpt2', { budget: { minutes: 1 } })
    const began = performance.now()
    const events = await eventsOf({ ...run, state: { ...run.state, seconds: 59.5 } })
    expect((performance.now() - began) / 1000).toBeGreaterThan(0.5)
    expect(events.at(-1)).toMatchObject({ type: 'end', reason: 'finished' })
    expect(ofType(events, 'step').length).toBeGreaterThan(0)
    expect(events[0]).not.toHaveProperty('totalSteps')
  })

  it('by a signal: the step is finished and saved, then what is due after it is done', async () => {
    const aborter = new AbortController()
    const run = runOf(
      'gpt2',
      { evaluate: { steps: 2 }, checkpoint: { steps: 100 } },
      { more: { signal: aborter.signal, save: async () => 'here', evaluate: async () => ({ loss: 1 }) } },
    )
    const seen: string[] = []
    for await (const event of train(run)) {
      seen.push(`${event.type} ${event.step}`)
      if (event.type === 'step' && event.step === 2) aborter.abort()
    }
    expect(seen).toEqual(['start 0', 'step 1', 'step 2', 'checkpoint 2', 'evaluation 2', 'end 2'])
  })
})

it('saves before it evaluates and samples, and once at the end', async () => {
  const values = [5, 4, 6, 3]
  const saved: LoopState[] = []
  const run = runOf(
    'gpt2',
    {
      budget: { steps: 7 },
      evaluate: { steps: 2 },
      sample: { steps: 4 },
      checkpoint: { steps: 3 },
      keep: { best: 'loss' },
    },
    {
      more: {
        evaluate: async () => ({ loss: values.shift() as number }),
        sample: async () => [{ text: 'a' }],
        save: async (state) => {
          saved.push(structuredClone(state))
          return `at ${state.step}`
        },
      },
    },
  )
  const events = await eventsOf(run)
  expect(events.filter(({ type }) => type !== 'step').map(({ type, step }) => `${type} ${step}`)).toEqual([
    'start 0',
    ...['checkpoint 2', 'evaluation 2'],
    'checkpoint 3',
    ...['checkpoint 4', 'evaluation 4', 'sample 4'],
    ...['checkpoint 6', 'evaluation 6'],
    ...['checkpoint 7', 'evaluation 7', 'end 7'],
  ])
  expect(ofType(events, 'evaluation').map(({ best }) => best)).toEqual([true, true, false, true])
  // A checkpoint knows the evaluations before its own, and which of its own are still to come.
  expect(saved.map(({ best, pending }) => [best?.step, pending])).toEqual([
    [undefined, ['evaluate']],
    [2, []],
    [2, ['evaluate', 'sample']],
    [4, ['evaluate']],
    [4, ['evaluate']],
  ])
  expect(saved.at(-1)).toMatchObject({ step: 7, position: 28, losses: lossesOf(events) })
})

it('a resumed run first does the evaluation that its checkpoint was written before', async () => {
  const settings = { budget: { steps: 4 }, evaluate: { steps: 2 }, keep: { best: 'loss' } }
  const more = { evaluate: async ({ step }: LoopState) => ({ loss: step }), save: async () => 'here' }
  const run = runOf('gpt2', settings, { more })
  const pending: LoopState['pending'] = ['evaluate']
  const events = await eventsOf({ ...run, state: { ...run.state, step: 2, position: 8, pending } })
  expect(events.map(({ type, step }) => `${type} ${step}`)).toEqual([
    'evaluation 2',
    ...['step 3', 'step 4', 'checkpoint 4', 'evaluation 4', 'end 4'],
  ])
  expect(ofType(events, 'evaluation').map(({ best }) => best)).toEqual([true, false])
})

describe('an error saves the last whole step', () => {
  const failing = (settings: object, more: Partial<TrainingRun<never>>) => {
    const saved: number[] = []
    const save = async (state: LoopState) => {
      saved.push(state.step)
      return 'here'
    }
    const run = runOf('gpt2', { budget: { steps: 6 }, ...settings }, { more: { save, ...more } })
    return { run, saved }
  }
  it('in an evaluation', async () => {
    const evaluate = async () => {
      throw new Error('no memory')
    }
    const { run, saved } = failing({ evaluate: { steps: 3 } }, { evaluate })
    await expect(eventsOf(run)).rejects.toThrow('no memory')
    expect(saved).toEqual([3])
  })
  it('in a step, where the steps before it are sound', async () => {
    const { run, saved } = failing({}, {})
    let examples = 0
    const stream = {
      ...run.stream,
      example: (position: number) => {
        if (++examples > 9) throw new Error('no such file')
        return run.stream.example(position)
      },
    }
    await expect(eventsOf({ ...run, stream })).rejects.toThrow('no such file')
    expect(saved).toEqual([2])
  })
  it('which a save that fails too does not hide', async () => {
    const { run } = failing(
      { evaluate: { steps: 3 } },
      {
        evaluate: async () => {
          throw new Error('no memory')
        },
        save: async () => {
          throw new Error('disk full')
        },
      },
    )
    await expect(eventsOf(run)).rejects.toThrow('no memory')
  })
})

it('saves by time and at the end of epochs by default', () => {
  expect(runOf('gpt2', {}).settings.checkpoint).toEqual({ minutes: 5, epochs: 1 })
  expect(runOf('gpt2', { checkpoint: {} }).settings.checkpoint).toEqual({})
})

it('continues from a finished state without repeating anything', async () => {
  const run = runOf('gpt2', { budget: { steps: 2 } }, { more: { evaluate: async () => ({ loss: 1 }) } })
  const events = await eventsOf({ ...run, state: { ...run.state, step: 2, position: 8 } })
  expect(events.map(({ type }) => type)).toEqual(['end'])
})

it('evaluates the average of the weights, and trains on without it', async () => {
  const decay = 0.8
  const averages: Float32Array[] = []
  const run = runOf('gpt2', { budget: { steps: 4 }, average: { decay }, evaluate: { steps: 1 } })
  const path = 'body.embedTokens.weight'
  const weight = () => noGrad(() => (run.trainable.parameters.get(path) as Tensor).detach().toFloat32Array().slice())
  const after: Float32Array[] = []
  const plain = lossesOf(await eventsOf(runOf('gpt2', { budget: { steps: 4 } })))
  const losses: number[] = []
  const evaluate = async () => {
    averages.push(weight())
    return { loss: 0 }
  }
  for await (const event of train({ ...run, evaluate })) {
    if (event.type !== 'step') continue
    losses.push(event.loss)
    after.push(weight())
  }
  expect(losses).toEqual(plain)
  let expected = after[0]
  for (const [i, current] of after.entries()) {
    if (i > 0) expected = expected.map((value, j) => decay * value + (1 - decay) * current[j])
    const off = averages[i].reduce((most, value, j) => Math.max(most, Math.abs(value - expected[j])), 0)
    expect(off).toBeLessThan(1e-6)
  }
  expect(averages[3]).not.toEqual(after[3])
})

it.each(Object.keys(optimizers))('%s learns through the loop, in float32 and bfloat16', async (type) => {
  for (const dtype of ['float32', 'bfloat16'] as const) {
    const run = runOf('gpt2', { budget: { steps: 30 }, optimizer: { type }, learningRate: undefined })
    if (dtype === 'bfloat16') run.trainable.model.to({ dtype })
    const again = runOf(
      'gpt2',
      { budget: { steps: 30 }, optimizer: { type }, learningRate: type === 'sgd' ? 0.1 : undefined },
      { model: run.trainable.model },
    )
    const losses = lossesOf(await eventsOf(again))
    expect(Math.min(...losses.slice(-5))).toBeLessThan(losses[0] - 0.02)
  }
})

it.each(Object.keys(schedules))('the schedule %s sets the rate of each step', async (type) => {
  const steps = ofType(await eventsOf(runOf('gpt2', { budget: { steps: 6 }, schedule: { type } })), 'step')
  const schedule = scheduleSchema.parse({ type })
  for (const [step, { learningRate }] of steps.entries())
    expect(learningRate).toBe(1e-3 * scheduleAt(schedule, { step, totalSteps: 6 }))
})

it('reduces the rate when evaluations stop improving, also after a resume', async () => {
  const losses = [3, 2, 2, 2, 2, 2, 1, 1, 1]
  const settings = {
    budget: { steps: 9 },
    evaluate: { steps: 1 },
    keep: { best: 'loss' },
    plateau: { patience: 1, factor: 0.1 },
  }
  const saved: LoopState[] = []
  const more = {
    evaluate: async ({ step }: LoopState) => ({ loss: losses[step - 1] }),
    save: async (state: LoopState) => `step ${saved.push(structuredClone(state))}`,
  }
  const rates = (events: Awaited<ReturnType<typeof eventsOf>>) =>
    ofType(events, 'step').map(({ learningRate }) => Math.round(Math.log10(learningRate / 1e-3)))
  const straight = rates(await eventsOf(runOf('gpt2', settings, { more })))
  expect(straight).toEqual([0, 0, 0, 0, -1, -1, -2, -2, -2])
  // The checkpoint of the fourth step is from before its evaluation, which the resumed run makes up for.
  const state = saved[3]
  expect(state).toMatchObject({ step: 4, pending: ['evaluate'] })
  expect(rates(await eventsOf(runOf('gpt2', settings, { more: { ...more, state } })))).toEqual(straight.slice(4))
})

it('of equal evaluations keeps the last, which improves nothing', async () => {
  const values = [0.5, 1, 1, Number.NaN, 1, 0.9, 1]
  const settings = {
    budget: { steps: 7 },
    evaluate: { steps: 1 },
    keep: { best: 'accuracy' },
    patience: 4,
  }
  const run = runOf('gpt2', settings, { more: { evaluate: async ({ step }) => ({ accuracy: values[step - 1] }) } })
  const events = await eventsOf(run)
  expect(ofType(events, 'evaluation').map(({ best }) => best)).toEqual([true, true, true, false, true, false])
  expect(ofType(events, 'end')).toMatchObject([{ step: 6, cause: 'patience' }])
})

it.each(kinds)('%s: nothing of a step outlives it', async (kind) => {
  const run = runOf(kind, { budget: { steps: 12 }, batch: { sequences: 4, microTokens: 64 }, average: {} })
  const live: number[] = []
  for await (const event of train(run)) if (event.type === 'step') live.push(liveTensors())
  // The collector may take away what building the model left.
  expect(Math.max(...live.slice(2))).toBeLessThanOrEqual(live[1])
})

it('a batch by tokens takes examples until it has them', async () => {
  const objective = objectiveOf('gpt2')
  const source = packedSource(objective)
  const run = runOf('gpt2', { budget: { steps: 3 }, batch: { tokens: 150 } }, { objective, source })
  let position = 0
  let before = 0
  for (const { tokens } of ofType(await eventsOf(run), 'step')) {
    let taken = 0
    while (taken < 150) taken += objective.tokens(source.example(position++).example)
    expect(tokens - before).toBe(taken)
    before = tokens
  }
})

describe('gradient norms by layer', () => {
  it('are recorded in the steps that are asked for, sum up to the norm of all, and change no bit', async () => {
    const budget = { budget: { steps: 6 } }
    const plain = ofType(await eventsOf(runOf('gpt2', budget)), 'step')
    const events = ofType(await eventsOf(runOf('gpt2', { ...budget, gradientNorms: 2 })), 'step')
    expect(events.map(({ loss, gradientNorm }) => [loss, gradientNorm])).toEqual(
      plain.map(({ loss, gradientNorm }) => [loss, gradientNorm]),
    )
    expect(events.filter((event) => event.gradientNorms !== undefined).map(({ step }) => step)).toEqual([2, 4, 6])
    for (const { gradientNorms = {}, gradientNorm } of events.filter((event) => event.gradientNorms !== undefined)) {
      expect(Object.keys(gradientNorms)).toEqual(expect.arrayContaining(['body.layers.0', 'body.layers.1']))
      const whole = Math.sqrt(Object.values(gradientNorms).reduce((sum, norm) => sum + norm ** 2, 0))
      expect(whole / gradientNorm).toBeCloseTo(1, 5)
    }
  })

  it.each([
    ['body.layers.11.attention.query.weight', 'body.layers.11'],
    ['body.encoder.layers.0.norm.bias', 'body.encoder.layers.0'],
    ['auxiliary.body.layers.2.mlp.up.weight', 'auxiliary.body.layers.2'],
    ['body.embedTokens.weight', 'body.embedTokens'],
    ['head.dense.bias', 'head.dense'],
    ['temperature', 'temperature'],
  ])('take %s to %s', (path, layer) => {
    expect(layerOfPath(path)).toBe(layer)
  })
})
