// A fitted learner as a model's head, so that the base with it predicts like any other model.
import { ConfigError, parseConfig } from '../core/index.ts'
import {
  type BodyInputs,
  type BodyOutputs,
  Head,
  type HeadOptions,
  type HeadType,
  headEntry,
  headOptionsSchema,
  Model,
} from '../models/index.ts'
import type { TargetKind } from '../tasks/index.ts'
import { cat, noGrad, scope, type Tensor } from '../tensor/index.ts'
import { bodyInputsFor, type FeaturePooling, layerVectors, poolFeatures } from './layers.ts'
import type { FittedLearner } from './learner.ts'

/** Means and standard deviations of features. */
export interface Scaler {
  mean: Tensor
  deviation: Tensor
}

/** What a feature head reads, and the learner behind it. */
export interface FeatureHeadOptions {
  layer: string | number
  pooling: FeaturePooling
  /** Rows are pairs of separately encoded sequences. */
  separatePairs: boolean
  kind: TargetKind
  fitted: FittedLearner
  scaler: Scaler | undefined
}

/** u, v, |u-v|, u*v of consecutive rows: [2N,C] -> [N,4C]. */
export const pairFeatures = (rows: Tensor): Tensor => {
  const [count, width] = rows.shape
  if (count % 2 !== 0)
    throw new ConfigError('Expected pairs of texts for pair features, got a single text. Give `pair`.')
  return scope(() => {
    const both = rows.reshape([count / 2, 2, width])
    const [u, v] = [both.select(1, 0), both.select(1, 1)]
    return cat([u, v, u.sub(v).abs(), u.mul(v)], 1)
  })
}

/** Features with the scaler applied, if there is one. */
export const standardized = (features: Tensor, scaler: Scaler | undefined): Tensor =>
  scaler === undefined ? features : features.sub(scaler.mean).div(scaler.deviation)

/**
 * The learner's scores of rows as logits, in the form of the task's own head: [N,outputs], or [N,1] for choices. Learners work on
 * the CPU; the result is on the device of the features.
 */
export const scoreRows = (
  features: Tensor,
  { fitted, scaler, kind }: Pick<FeatureHeadOptions, 'fitted' | 'scaler' | 'kind'>,
): Tensor =>
  noGrad(() =>
    scope(() => {
      const rows = features.to({ dtype: 'float32', device: 'cpu' })
      const scores = fitted.scores(standardized(rows, scaler)).to({ device: features.device })
      // The score of a choice: right minus wrong.
      return kind === 'choice' ? scores.narrow(1, 1, 1).sub(scores.narrow(1, 0, 1)) : scores
    }),
  )

class FeatureHead extends Head {
  readonly #options: FeatureHeadOptions

  constructor(options: FeatureHeadOptions) {
    super()
    this.#options = options
  }

  override bodyInputs(inputs: BodyInputs): BodyInputs {
    const { layer, pooling } = this.#options
    return bodyInputsFor(flatRows(inputs), layer, pooling)
  }

  /** [rows,outputs]; [B,T,outputs] for tokens; [1,rows] for choices. */
  forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor {
    const { layer, pooling, separatePairs, kind } = this.#options
    if (pooling === 'tokens') {
      const hidden = layerVectors(outputs, layer)
      const scores = scoreRows(hidden.flatten(0, 1), this.#options)
      return scores.view([hidden.shape[0], hidden.shape[1], scores.shape[1]])
    }
    const rows = poolFeatures(outputs, flatRows(inputs), { layer, pooling })
    const scores = scoreRows(separatePairs ? pairFeatures(rows) : rows, this.#options)
    return kind === 'choice' ? scores.t() : scores
  }
}

/** Choices [B,N,T] as rows [B*N,T]; packed ones are [1,1,tokens]. */
const flatRows = (inputs: BodyInputs): BodyInputs => {
  if (inputs.inputIds.ndim < 3) return inputs
  const flat = (x: Tensor | undefined) => x?.flatten(0, 1)
  return {
    ...inputs,
    inputIds: inputs.inputIds.flatten(0, 1),
    attentionMask: flat(inputs.attentionMask),
    typeIds: flat(inputs.typeIds),
    positionIds: flat(inputs.positionIds),
  }
}

/** The base with a fitted learner as its head. */
export const modelWithLearner = (
  { definition, config, body }: Model,
  headType: HeadType,
  headOptions: Partial<HeadOptions>,
  options: FeatureHeadOptions,
): Model =>
  new Model(
    {
      definition,
      config,
      headType,
      headOptions: parseConfig(headOptionsSchema, headOptions, 'head options'),
      entry: headEntry(definition, config, 'embedding'),
    },
    body,
    new FeatureHead(options),
  )
