// Learning from a teacher (knowledge distillation): beside its targets, a criterion learns the predictions of another model, which is not
// trained. Independent of particular objectives and tasks; what is compared are rows of logits.
// @source Hinton et al. 2015, arXiv:1503.02531 (temperature); Agarwal et al. 2023, arXiv:2306.13649 (divergences)
import { ConfigError } from '../core/index.ts'
import { type BodyInputs, type HeadType, type LanguageHead, type Model, withRouterBalance } from '../models/index.ts'
import { checkpoint, linear, noGrad, softCap, Tensor } from '../tensor/index.ts'
import { logitRows, vocabularyHead } from './language-loss.ts'
import { type Criterion, type LossTerm, mustPad } from './objective.ts'

/** Names of the divergences. */
export const divergenceNames = ['forward-kl', 'reverse-kl', 'jensen-shannon'] as const

/** How the predictions of two models are compared, each by its logits divided by `temperature`. */
export interface Comparison {
  temperature: number
  /**
   * `forward-kl`: KL(teacher ‖ student), which covers all that the teacher finds likely; `reverse-kl`: KL(student ‖ teacher), which gives up
   * what it cannot follow; `jensen-shannon`: the mean of both divergences from their mean distribution.
   */
  divergence: (typeof divergenceNames)[number]
}

/** A model whose predictions are learned. */
export interface Teacher extends Comparison {
  /** In evaluation mode, without gradients. Its classes or tokens are those of the student, in the same order. */
  model: Model
  /** Share of the divergence in the loss; the rest is the loss of the targets. */
  weight: number
}

/** Name of the term. */
export const distillationTerm = 'distillation'

/** The term of the targets, and that of the teacher's predictions. @param compare their divergence, summed as `own` is */
export const withTeacher = (
  own: LossTerm,
  teacher: Teacher | undefined,
  compare: (teacher: Teacher) => Tensor,
): LossTerm[] => {
  if (teacher === undefined) return [own]
  const { weight: share } = teacher
  return [
    { ...own, scale: own.scale * (1 - share) },
    { name: distillationTerm, sum: compare(teacher), weight: own.weight, scale: own.scale * share },
  ]
}

/** Runs the teacher without gradients; what its layers add to a loss, such as the balance of experts, is left out. */
const asTeacher = <Result>(body: () => Result): Result => noGrad(() => withRouterBalance(undefined, body))

/** Logits of the teacher, float32. */
export const teacherLogits = ({ model }: Teacher, inputs: BodyInputs): Tensor =>
  asTeacher(() => model.forward(inputs).logits.to('float32'))

/** A logit of what cannot be chosen, for comparisons, which need finite ones. */
export const unlikely = -1e4

/** Smallest mean probability whose logarithm is taken: below it, its factor is 0. */
const least = 1e-37

/**
 * Divergence of the student's distribution and the teacher's in each row, times the square of the temperature, so that gradients keep their
 * size at any temperature. In nats, 0 or more.
 * @param own logits of the student, float32 [...,L], finite
 * @param theirs logits of the teacher, float32 [...,L], finite
 * @returns float32 [...]
 */
export const rowDivergence = (own: Tensor, theirs: Tensor, { temperature, divergence }: Comparison): Tensor => {
  const scaled = (logits: Tensor) => (temperature === 1 ? logits : logits.div(temperature)).logSoftmax(-1)
  const [q, p] = [scaled(own), scaled(theirs)]
  const sums = {
    'forward-kl': () => p.exp().mul(p.sub(q)),
    'reverse-kl': () => q.exp().mul(q.sub(p)),
    'jensen-shannon': () => {
      const [left, right] = [p.exp(), q.exp()]
      const mean = left.add(right).mul(0.5).clamp({ min: least }).log()
      return left
        .mul(p.sub(mean))
        .add(right.mul(q.sub(mean)))
        .mul(0.5)
    },
  }
  const sum = sums[divergence]().sum(-1)
  return temperature === 1 ? sum : sum.mul(temperature ** 2)
}

/** Logits of rows of `prepare`d hidden states, float32 [N,width]. */
const logitsOf = ({ outputLayer }: LanguageHead, prepared: Tensor, width: number): Tensor => {
  const { matrix, bias = null, softcap } = outputLayer
  const wide = linear(prepared, matrix, bias).to('float32')
  const real = wide.shape[1] === width ? wide : wide.narrow(1, 0, width)
  return softcap === undefined ? real : softCap(real, softcap)
}

/**
 * Divergence of two language models, summed over the labels that are not -100. Logits exist in chunks, and again in backward.
 * @param head of the student
 * @param prepared what the head reads, [N,C], as `vocabularyLoss` returns it
 * @param labels int64 [N]
 * @param hiddenOf hidden states of a model at the same places, [N,·]
 * @param weights float32 [N], a factor for each label
 */
export const vocabularyDivergence = (
  { head, prepared, labels, weights }: { head: LanguageHead; prepared: Tensor; labels: Tensor; weights?: Tensor },
  teacher: Teacher,
  hiddenOf: (model: Model) => Tensor,
  headType: HeadType,
): Tensor => {
  const theirHead = vocabularyHead(teacher.model, headType)
  const theirs = asTeacher(() => theirHead.prepare(hiddenOf(teacher.model)))
  // Matrices may have rows behind the last token, to a round number.
  const width = Math.min(head.outputLayer.matrix.shape[0], theirHead.outputLayer.matrix.shape[0])
  const known = labels.ge(0).to('float32')
  const factors = weights === undefined ? known : known.mul(weights)
  let sum = Tensor.from(new Float32Array(1), { shape: [], device: prepared.device })
  for (let start = 0; start < prepared.shape[0]; start += logitRows) {
    const part = (tensor: Tensor) => tensor.narrow(0, start, Math.min(logitRows, prepared.shape[0] - start))
    const divergence = checkpoint(
      (own: Tensor, their: Tensor, factor: Tensor) =>
        rowDivergence(logitsOf(head, own, width), logitsOf(theirHead, their, width), teacher)
          .mul(factor)
          .sum(),
      [part(prepared), part(theirs), part(factors)],
    )
    sum = sum.add(divergence)
  }
  return sum
}

/**
 * A criterion that also learns the predictions of a teacher. Evaluations take the criterion itself, so that losses can be compared.
 * @throws ConfigError for a criterion that cannot
 */
// biome-ignore lint/suspicious/noExplicitAny: examples of any type go through as they are.
export const distilled = <Learned extends Criterion<any>>(criterion: Learned, teacher: Teacher): Learned => {
  if (criterion.distils !== true)
    throw new ConfigError(
      'Expected an objective or a task that predicts classes, numbers or tokens for `distillation`, got one that cannot learn from a teacher. Remove `distillation`.',
    )
  return {
    ...criterion,
    unpadded: !mustPad(criterion, teacher.model),
    weights(example: unknown) {
      const own = criterion.weights(example)
      return { ...own, [distillationTerm]: Object.values(own).reduce((sum, weight) => sum + weight, 0) }
    },
    loss(...[model, batch, how]: Parameters<Learned['loss']>) {
      const found = criterion.loss(model, batch, { ...how, teacher })
      if (found.terms.some(({ name }) => name === distillationTerm)) return found
      throw new ConfigError(
        'Expected the term of `distillation` from the loss of the recipe, got none: return what `standard()` returns, with other terms, or remove `distillation`.',
      )
    },
  }
}
