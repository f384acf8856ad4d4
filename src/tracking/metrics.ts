// Metrics by name: whether a higher or a lower value is better, the unit, and what is measured. The built-in names are
// written once here; a package adds its own. Independent of how a metric is computed.
import { ConfigError } from '../core/index.ts'

/** Whether a higher or a lower value of a metric is better. */
export type MetricDirection = 'higher' | 'lower'

/** A metric's name and how its values are read. */
export interface MetricInfo {
  /** As in events, evaluation files and `keep.best`. */
  readonly name: string
  readonly direction: MetricDirection
  /** `nats`, `bits per byte`, `share` (0 to 1), `percent` (0 to 100) … */
  readonly unit?: string
  /** One line for lists of metrics. */
  readonly summary?: string
}

type Row = readonly [name: string, unit: string, summary: string]

const lowerIsBetter: readonly Row[] = [
  ['loss', 'nats', 'training objective: the sum of its terms'],
  ['perplexity', 'tokens', 'exponential of the mean cross entropy'],
  ['bitsPerByte', 'bits per byte', 'cross entropy per byte of text'],
  ['maskedLoss', 'nats', 'mean cross entropy of masked tokens'],
  ['maskedPerplexity', 'tokens', 'exponential of the masked loss'],
  ['pseudoPerplexity', 'tokens', 'perplexity with one token masked at a time'],
  ['causal-lm', 'nats', 'loss term: next-token cross entropy'],
  ['masked-lm', 'nats', 'loss term: cross entropy of masked tokens'],
  ['span-corruption', 'nats', 'loss term: cross entropy of the replaced spans'],
  ['generator', 'nats', "loss term: ELECTRA's generator"],
  ['replaced-token-detection', 'nats', "loss term: ELECTRA's discriminator"],
  ['next-sentence', 'nats', 'loss term: next-sentence prediction'],
  ['sentence-order', 'nats', 'loss term: sentence-order prediction'],
  ['classification', 'nats', 'loss term: cross entropy of the labels'],
  ['regression', 'squared units', 'loss term: squared error'],
  ['token-classification', 'nats', 'loss term: cross entropy of the tags'],
  ['extractive-qa', 'nats', 'loss term: cross entropy of the span borders'],
  ['multiple-choice', 'nats', 'loss term: cross entropy of the choices'],
  ['similarity', 'nats', 'loss term: texts that belong together among the others of a batch, or the order of pairs'],
  ['answers', 'nats', 'loss term: cross entropy of the answer tokens'],
  ['preference', 'nats', 'loss term: preference objective'],
  ['sft', 'nats', 'loss term: cross entropy of the chosen answers'],
  ['rewardRejected', 'reward', 'mean implicit reward of rejected answers'],
  ['logProbRejected', 'nats', 'mean log-probability of rejected answers'],
  ['logProbPerTokenRejected', 'nats', 'mean log-probability per token of rejected answers'],
  ['lengthChosen', 'tokens', 'mean length of chosen answers'],
  ['lengthRejected', 'tokens', 'mean length of rejected answers'],
  ['displaced', 'share', 'share of chosen answers that are less likely than under the reference model'],
  ['kl', 'nats', 'estimated KL divergence from the reference model per answer'],
  ['unscored', 'share', 'share of answers without a reward'],
  ['excluded', 'share', 'share of answers that are not learned from, such as truncated ones'],
  ['equalGroups', 'share', 'share of groups whose answers all have one reward'],
  ['episodesCut', 'share', 'share of answers of several turns that a limit ended'],
  ['episodesOutOfTurns', 'share', 'share of answers of several turns that the limit of turns ended'],
  ['episodesOutOfTokens', 'share', 'share of answers of several turns that the limit of tokens ended'],
  ['episodesFailed', 'share', 'share of answers of several turns whose environment failed'],
  ['klPerToken', 'nats', 'estimated KL divergence from the reference model per token of the answers'],
  ['klBaseline', 'nats', 'estimated KL divergence from the reference model that KTO compares rewards with'],
  ['policy', 'reward', 'loss term: policy loss of sampled answers'],
  ['policy-kl', 'nats', 'loss term: KL divergence from the reference'],
  ['policy-entropy', 'nats', 'loss term: entropy of the policy, which is subtracted'],
  ['value', 'squared reward', 'loss term: squared error of the critic'],
  ['approxKl', 'nats', 'half the mean squared change of log-probabilities since the answers were sampled'],
  ['referenceKl', 'nats', 'KL divergence from the reference per token'],
  ['ratioDeviation', 'squared ratio', 'mean squared distance of the probability ratio from 1'],
  ['clipFractionLow', 'share', 'share of tokens whose ratio is clipped from below'],
  ['clipFractionHigh', 'share', 'share of tokens whose ratio is clipped from above'],
  ['valueClipFraction', 'share', 'share of values that moved too far'],
  ['samplingMismatch', 'nats', 'mean difference between log-probabilities of sampling and of training'],
  ['largestSamplingMismatch', 'nats', 'largest difference between log-probabilities of sampling and of training'],
  ['reward-model', 'nats', 'loss term: cross entropy of which answer is better, or of whether it is good'],
  ['meanSquaredError', 'squared units', 'mean squared error'],
  ['meanAbsoluteError', 'units', 'mean absolute error'],
  ['hammingLoss', 'share', 'share of label decisions that are wrong'],
  ['calibrationError', 'share', 'expected calibration error'],
  ['lengthCorrelation', 'correlation', "Spearman's rank correlation of reward and length of the answer"],
]

const higherIsBetter: readonly Row[] = [
  ['reward', 'reward', 'mean reward of answers'],
  ['score', 'reward', 'mean reward of answers after penalties'],
  ['episodesDone', 'share', 'share of answers of several turns that the environment ended'],
  ['judge', 'score', 'mean score of answers by a judge that is not trained on'],
  ['auc', 'share', 'share of pairs of a good and a bad answer of which the good one has the larger log-ratio'],
  [
    'likelihoodAuc',
    'share',
    'share of pairs of a good and a bad answer of which the good one is more likely per token',
  ],
  ['likelihoodAccuracy', 'share', 'share of pairs whose chosen answer is more likely per token'],
  ['finished', 'share', 'share of answers that the model ends itself'],
  ['accuracy', 'share', 'share of predictions that are right'],
  ['rewardChosen', 'reward', 'mean implicit reward of chosen answers'],
  ['margin', 'nats', 'mean gain of chosen answers in log-probability over the reference, minus that of rejected ones'],
  ['logProbChosen', 'nats', 'mean log-probability of chosen answers'],
  ['logProbPerTokenChosen', 'nats', 'mean log-probability per token of chosen answers'],
  ['entropy', 'nats', 'mean entropy of the next-token distribution'],
  ['ratio', 'ratio', 'mean probability ratio of the new policy to the old one; 1 before the first update'],
  ['lossScale', 'factor', 'factor of the loss in float16'],
  ['skippedSteps', 'steps', 'steps so far that were skipped, as gradients overflowed float16'],
  ['klCoefficient', 'coefficient', 'coefficient of the KL divergence from the reference'],
  ['importanceWeight', 'ratio', 'mean weight that corrects for the probabilities of sampling'],
  ['explainedVariance', 'share', 'share of the variance of the returns that the critic explains'],
  ['equalLengthAccuracy', 'share', 'accuracy of the pairs whose answers are about as long as each other'],
  ['rewardMargin', 'reward', 'mean reward of better answers minus that of worse ones'],
  ['generatorAccuracy', 'share', "accuracy of ELECTRA's generator"],
  ['relationAccuracy', 'share', 'accuracy of sentence relations'],
  ['maskedAccuracy', 'share', 'accuracy of masked tokens'],
  ['tokenAccuracy', 'share', 'accuracy of the tags, word by word'],
  ['accuracyPerCharacter', 'share', 'accuracy by log-probability per character'],
  ['accuracyPerByte', 'share', 'accuracy by log-probability per byte'],
  ['accuracyPerToken', 'share', 'accuracy by log-probability per token'],
  ['mean', 'mean of scores', 'mean of the main metrics of the tasks of a run'],
  ['precision', 'share', 'share of predicted positives that are right'],
  ['recall', 'share', 'share of positives that are found'],
  ['f1', 'share', 'harmonic mean of precision and recall'],
  ['f1Macro', 'share', 'mean F1 over classes'],
  ['f1Weighted', 'share', 'mean F1 over classes, weighted by their records'],
  ['f1Micro', 'share', 'F1 of all decisions together'],
  ['precisionMicro', 'share', 'precision of all decisions together'],
  ['recallMicro', 'share', 'recall of all decisions together'],
  ['matthews', 'correlation', "Matthews' correlation coefficient"],
  ['ndcgAt10', 'share', 'nDCG of the right text among the ten nearest ones'],
  ['mrrAt10', 'share', 'mean reciprocal rank of the right text among the ten nearest ones'],
  ['recallAt1', 'share', 'share of texts whose right text is the nearest'],
  ['recallAt10', 'share', 'share of texts whose right text is among the ten nearest'],
  ['pearson', 'correlation', "Pearson's correlation"],
  ['spearman', 'correlation', "Spearman's rank correlation"],
  ['hasAnswerExactMatch', 'share', 'exact match of the questions with an answer'],
  ['hasAnswerF1', 'share', 'token F1 of the questions with an answer'],
  ['noAnswerExactMatch', 'share', 'exact match of the questions without an answer'],
  ['noAnswerF1', 'share', 'token F1 of the questions without an answer'],
  ['bestExactMatch', 'share', 'exact match with the best no-answer threshold'],
  ['bestF1', 'share', 'token F1 with the best no-answer threshold'],
  ['ended', 'share', 'share of answers that end by themselves'],
  ['exactMatch', 'share', 'share of answers that are equal to a reference'],
  ['tokenF1', 'share', 'F1 of the words of an answer'],
  ['numericMatch', 'share', 'share of answers with the right number'],
  ['strictMatch', 'share', 'share of answers with the right number after ####'],
  ['flexibleMatch', 'share', 'share of answers whose last number is right'],
  ['rouge1', 'share', 'F1 of single words'],
  ['rouge2', 'share', 'F1 of pairs of words'],
  ['rougeL', 'share', 'F1 of the longest common subsequence'],
  ['rougeLsum', 'share', 'F1 of the longest common subsequences, line by line'],
  ['bleu', 'percent', 'BLEU of the corpus'],
  ['chrf', 'percent', 'chrF of the corpus'],
  ['chrf++', 'percent', 'chrF++ of the corpus'],
]

const rowsOf = (rows: readonly Row[], direction: MetricDirection) =>
  rows.map(([name, unit, summary]): [string, MetricInfo] => [name, { name, direction, unit, summary }])

const registry = new Map<string, MetricInfo>([...rowsOf(lowerIsBetter, 'lower'), ...rowsOf(higherIsBetter, 'higher')])

/**
 * Registers a metric by its name, so that checkpoints, sweeps and reports know which value is better. Registering a
 * known name with the same direction changes nothing.
 * @throws ConfigError for a known name with the other direction, or for an empty name
 */
export const registerMetricInfo = (metric: MetricInfo): void => {
  const { name, direction } = metric
  if (name.trim() === '') throw new ConfigError('A metric needs a name: set `name`.')
  if (direction !== 'higher' && direction !== 'lower')
    throw new ConfigError(`Expected higher or lower for \`direction\` of the metric ${name}, got "${direction}".`)
  const known = registry.get(name)
  if (known !== undefined && known.direction !== direction)
    throw new ConfigError(
      `Expected ${known.direction} for \`direction\` of the metric ${name}, as it is registered, got ${direction}. Rename the metric.`,
    )
  if (known === undefined) registry.set(name, { ...metric })
}

/** A name between a metric and a data set that it was measured on: `accuracy/reviews`. */
const setMark = '/'

/** The name of a metric on one of several data sets: `accuracy/reviews`. */
export const metricOfSet = (metric: string, set: string): string => `${metric}${setMark}${set}`

/** The parts of the name of a metric. */
export interface MetricParts {
  metric: string
  /** Data set of several: `accuracy/reviews`. */
  set?: string
  /** Task of several: `sentiment/accuracy`. */
  task?: string
}

/** The metric, the data set and the task of a name such as `accuracy/reviews` or `sentiment/accuracy`. */
export const splitMetric = (name: string): MetricParts => {
  const at = name.indexOf(setMark)
  if (at < 1) return { metric: name }
  const [first, rest] = [name.slice(0, at), name.slice(at + 1)]
  if (registry.has(first) || findMetric(rest) === undefined) return { metric: first, set: rest }
  return { ...splitMetric(rest), task: first }
}

/** The name of a metric of one of several tasks: `sentiment/accuracy`. */
export const metricOfTask = (task: string, metric: string): string => `${task}${setMark}${metric}`

/**
 * What is registered of a metric, also where it is of one of several data sets (`accuracy/reviews`) or tasks (`sentiment/accuracy`);
 * undefined for an unknown name.
 */
export const findMetric = (name: string): MetricInfo | undefined => {
  const at = name.indexOf(setMark)
  const known = registry.get(name) ?? registry.get(at < 1 ? name : name.slice(0, at))
  return known !== undefined || at < 1 ? known : findMetric(name.slice(at + 1))
}

/** Whether a higher or a lower value is better; undefined for an unknown name. */
export const metricDirection = (name: string): MetricDirection | undefined => findMetric(name)?.direction

/** Names of all registered metrics. */
export const metricNames = (): string[] => [...registry.keys()]
