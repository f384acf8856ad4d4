// A learner of features in the place of a model's head: the base with it predicts like any other model. Knows no learner and no task.
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

/** Means and deviations of features, where they are standardised. */
export interface Scaler {
  mean: Tensor
  deviation: Tensor
}

export interface FeatureHeadOptions {
  layer: string | number
  pooling: FeaturePooling
  /** Rows are pairs of sequences that stand apart. */
  separatePairs: boolean
  kind: TargetKind
  fitted: FittedLearner
  scaler: Scaler | undefined
}

/** u, v, |u-v|, u*v of rows that belong together by two: [2N,C] -> [N,4C]. */
export const pairFeatures = (rows: Tensor): Tensor => {
  const [count, width] = rows.shape
  if (count % 2 !== 0) throw new ConfigError('Expected pairs of texts for features of pairs, got a text alone.')
  return scope(() => {
    const both = rows.reshape([count / 2, 2, width])
    const [u, v] = [both.select(1, 0), both.select(1, 1)]
    return cat([u, v, u.sub(v).abs(), u.mul(v)], 1)
  })
}

export const standardized = (features: Tensor, scaler: Scaler | undefined): Tensor =>
  scaler === undefined ? features : features.sub(scaler.mean).div(scaler.deviation)

/**
 * What the learner says of rows: logits as the task's own head would give them, [N,outputs], or [N,1] of choices. Learners work on the CPU;
 * the rows may be elsewhere, and the logits are where they are.
 */
export const scoreRows = (
  features: Tensor,
  { fitted, scaler, kind }: Pick<FeatureHeadOptions, 'fitted' | 'scaler' | 'kind'>,
): Tensor =>
  noGrad(() =>
    scope(() => {
      const rows = features.to({ dtype: 'float32', device: 'cpu' })
      const scores = fitted.scores(standardized(rows, scaler)).to({ device: features.device })
      // Right against wrong.
      return kind === 'choice' ? scores.narrow(1, 1, 1).sub(scores.narrow(1, 0, 1)) : scores
    }),
  )

class FeatureHead extends Head {
  readonly #reading: FeatureHeadOptions

  constructor(reading: FeatureHeadOptions) {
    super()
    this.#reading = reading
  }

  override bodyInputs(inputs: BodyInputs): BodyInputs {
    const { layer, pooling } = this.#reading
    return bodyInputsFor(flatRows(inputs), layer, pooling)
  }

  /** [rows,outputs]; of tokens [B,T,outputs]; of choices [1,rows]. */
  forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor {
    const { layer, pooling, separatePairs: apart, kind } = this.#reading
    if (pooling === 'tokens') {
      const hidden = layerVectors(outputs, layer)
      const scores = scoreRows(hidden.flatten(0, 1), this.#reading)
      return scores.view([hidden.shape[0], hidden.shape[1], scores.shape[1]])
    }
    const rows = poolFeatures(outputs, flatRows(inputs), { layer, pooling })
    const scores = scoreRows(apart ? pairFeatures(rows) : rows, this.#reading)
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

/** The base with the learner as its head. */
export const modelWithLearner = (
  { definition, config, body }: Model,
  headType: HeadType,
  headOptions: Partial<HeadOptions>,
  reading: FeatureHeadOptions,
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
    new FeatureHead(reading),
  )
