// Learners against scikit-learn: weights, probabilities and values on the same rows; and each of them through its own file.
import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import type { LearnableTask, LearnerDefinition } from '../../src/features/index.ts'
import {
  type LearningResult,
  learners,
  learnFromFeatures,
  learningProblem,
  type TaskFeatures,
} from '../../src/features/index.ts'
import { liveTensors, scope, setThreads, Tensor } from '../../src/tensor/index.ts'

setThreads(1)

type Problem = 'binary' | 'classes' | 'labels' | 'numbers'
interface Case {
  learner: keyof typeof learners
  problem: Problem
  settings: Record<string, unknown>
  weighted: boolean
  standardize: boolean
  weight?: number[][]
  bias?: number[]
  shares?: number[][]
  values?: number[]
  said?: number[]
}
interface Golden {
  features: number[][]
  asked: number[][]
  answers: Record<Problem, number[] | number[][]>
  weights: Record<string, number[]>
  cases: Case[]
}

const golden = JSON.parse(readFileSync(new URL('golden/learners.json', import.meta.url), 'utf8')) as Golden
const kinds = {
  binary: { kind: 'class', outputs: 2 },
  classes: { kind: 'class', outputs: 3 },
  labels: { kind: 'labels', outputs: 4 },
  numbers: { kind: 'number', outputs: 1 },
} as const
const features = Tensor.from(golden.features).keep()
const asked = Tensor.from(golden.asked).keep()

/** A task whose every record has one row, with the answers of a problem. */
const taskOf = (problem: Problem, weights?: number[]) => {
  const answers = golden.answers[problem]
  const rows: LearnableTask['rows'] = {
    ...kinds[problem],
    targets: (example) => [answers[example.truncatedTokens]].flat(),
    ...(weights === undefined ? {} : { weights: Float32Array.from(weights) }),
  }
  const examples = answers.map((_, i) => [{ ids: new Uint32Array(1), starts: [0], truncatedTokens: i }])
  return { task: { rows } as unknown as LearnableTask, found: { examples, features } as unknown as TaskFeatures }
}

const learn = async ({ learner, problem, settings, weighted, standardize }: Case): Promise<LearningResult> => {
  const { task, found } = taskOf(problem, weighted ? golden.weights[problem] : undefined)
  const definition = learners[learner] as unknown as LearnerDefinition
  const config = definition.config.parse(settings) as object
  const exact = 'tolerance' in config ? { ...config, tolerance: 1e-9 } : config
  const base = { layer: 'last', pooling: 'mean', pairs: 'together', batchTokens: 1, cache: undefined } as const
  return learnFromFeatures(task, found, { ...base, standardize, learner, settings: exact }, { seed: 0 })
}

const scoresOf = ({ fitted, scaler }: LearningResult, rows = asked): number[][] =>
  scope(() => {
    const scaled = scaler === undefined ? rows : rows.sub(scaler.mean).div(scaler.deviation)
    return fitted.scores(scaled).toArray() as number[][]
  })

const softmax = (scores: number[]) => {
  const shares = scores.map((score) => Math.exp(score - Math.max(...scores)))
  const sum = shares.reduce((total, share) => total + share, 0)
  return shares.map((share) => share / sum)
}

const farthest = (ours: number[][], theirs: number[][]): number => {
  expect(ours.length).toBe(theirs.length)
  return Math.max(...ours.flatMap((row, i) => row.map((value, k) => Math.abs(value - theirs[i][k]))))
}

describe('scikit-learn and', () => {
  it.each(
    golden.cases.map((one) => ({
      ...one,
      name: `${one.learner}, ${one.problem}, ${JSON.stringify(one.settings)}${one.weighted ? ', weighted' : ''}${one.standardize ? ', standardised' : ''}`,
    })),
  )('$name agree', async (one) => {
    const learned = await learn(one)
    const { tensors } = learned.fitted
    if (one.weight !== undefined) {
      const size = Math.max(...one.weight.flat().map(Math.abs))
      expect(farthest(tensors.get('weight')!.toArray() as number[][], one.weight) / size).toBeLessThan(1e-5)
      const [bias] = [tensors.get('bias')!.toArray() as number[]]
      expect(farthest([bias], [one.bias!]) / Math.max(size, ...one.bias!.map(Math.abs))).toBeLessThan(1e-5)
    }
    const scores = scoresOf(learned)
    if (one.shares !== undefined) {
      const shares =
        one.problem === 'labels'
          ? scores.map((row) => row.map((score) => 1 / (1 + Math.exp(-score))))
          : scores.map(softmax)
      expect(farthest(shares, one.shares)).toBeLessThan(1e-5)
    }
    if (one.values !== undefined)
      expect(
        farthest(
          scores,
          one.values.map((value) => [value]),
        ),
      ).toBeLessThan(1e-4 * Math.max(...one.values))
    if (one.said !== undefined) expect(scores.map((row) => row.indexOf(Math.max(...row)))).toEqual(one.said)
  })
})

describe('every learner', () => {
  const problems = Object.keys(kinds) as Problem[]
  const pairs = Object.values(learners).flatMap((definition) =>
    problems
      .filter((problem) => (definition.kinds as readonly string[]).includes(kinds[problem].kind))
      .map((problem) => ({ learner: definition.type as keyof typeof learners, problem })),
  )

  it.each(pairs)('$learner scores $problem equally after its file was read again', async ({ learner, problem }) => {
    const definition = learners[learner] as unknown as LearnerDefinition
    const config = definition.config.parse(learner === 'mlp' ? { epochs: 2, hidden: [8, 4] } : {}) as object
    const learned = await learn({ learner, problem, settings: config as never, weighted: false, standardize: true })
    const again = definition.restore(learned.fitted.tensors, config, kinds[problem])
    expect(scoresOf({ ...learned, fitted: again })).toEqual(scoresOf(learned))
    const [first] = learned.fitted.tensors.keys()
    const without = new Map(learned.fitted.tensors)
    without.delete(first)
    expect(() => definition.restore(without, config, kinds[problem])).toThrow(/Expected/)
    const other = { kind: kinds[problem].kind, outputs: kinds[problem].outputs + 3 }
    // Rows that are kept know nothing of how many classes there are.
    if (learner !== 'nearest-neighbours')
      expect(() => definition.restore(learned.fitted.tensors, config, other)).toThrow(/Expected/)
  })

  it.each(pairs)('$learner fits $problem deterministically, and better than chance', async ({ learner, problem }) => {
    const settings = learner === 'mlp' ? { epochs: 60, batch: 32, learningRate: 0.01 } : {}
    const one = { learner, problem, settings, weighted: false, standardize: true } as Case
    const [learned, twice] = [await learn(one), await learn(one)]
    const said = scoresOf(learned, features)
    expect(scoresOf(twice, features)).toEqual(said)
    const answers = golden.answers[problem]
    if (problem === 'numbers') {
      const middle = (answers as number[]).reduce((sum, x) => sum + x, 0) / answers.length
      const squares = (guess: (i: number) => number) =>
        (answers as number[]).reduce((sum, x, i) => sum + (x - guess(i)) ** 2, 0)
      expect(squares((i) => said[i][0])).toBeLessThan(0.3 * squares(() => middle))
      return
    }
    const right = said.map((row, i) => {
      const answer = answers[i]
      if (typeof answer === 'number') return row.indexOf(Math.max(...row)) === answer ? 1 : 0
      return answer.filter((yes, k) => row[k] > 0 === (yes === 1)).length / answer.length
    })
    expect(right.reduce((sum, x) => sum + x, 0) / right.length).toBeGreaterThan(0.75)
  })
})

it('mlp leaves no tensors behind when it is stopped between steps', async () => {
  const dataset = { features, answers: Float64Array.from(golden.answers.classes as number[]), ...kinds.classes }
  const config = learners.mlp.config.parse({ batch: 8 })
  const stop = new AbortController()
  const before = liveTensors()
  const hooks = { seed: 0, signal: stop.signal, onProgress: (share: number) => share > 0 && stop.abort() }
  await expect(learners.mlp.fit(dataset as never, config, hooks as never)).rejects.toThrow(/abort/)
  expect(liveTensors()).toBe(before)
})

it('rows with an unknown target are left out of the fit', async () => {
  const { task, found } = taskOf('numbers')
  const some = {
    ...task,
    rows: {
      ...task.rows,
      targets: (example: { truncatedTokens: number }) => [
        example.truncatedTokens < 100 ? (golden.answers.numbers[example.truncatedTokens] as number) : Number.NaN,
      ],
    },
  } as LearnableTask
  const settings = {
    layer: 'last',
    pooling: 'mean',
    pairs: 'together',
    batchTokens: 1,
    cache: undefined,
    standardize: false,
    learner: 'ridge',
    settings: { alpha: 1 },
  } as const
  const learned = await learnFromFeatures(some, found, settings, { seed: 0 })
  const first = {
    examples: found.examples.slice(0, 100),
    features: features.narrow(0, 0, 100),
  } as unknown as TaskFeatures
  const alone = await learnFromFeatures(task, first, settings, { seed: 0 })
  expect(scoresOf(learned)).toEqual(scoresOf(alone))
  expect(learningProblem({ ...task.rows, kind: 'choice', outputs: 1 })).toEqual({ kind: 'class', outputs: 2 })
})
