// A reward per row: a classifier with one logit, as TRL's reward models. A critic reads the same logit at every token.
import { ConfigError } from '../../core/index.ts'
import type { Initialization } from '../../nn/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'
import { RowClassifier, ScoreLayer } from './sequence-classification.ts'

/**
 * The output layer, whose scores begin small whatever the width C of the body: N(0, 1/sqrt(C + 1)).
 * @source Stiennon et al. 2020, arXiv:2009.01325 (summarize-from-feedback)
 */
class RewardLayer extends ScoreLayer {
  protected override reset({ generator }: Initialization): void {
    super.reset({ std: 1 / Math.sqrt(this.weight.shape[1] + 1), generator })
  }
}

/** Head of rewards; logits [B]. */
export class RewardHead extends Head {
  scorer: Head

  constructor(scorer: Head) {
    super()
    this.scorer = scorer
  }

  override get readsFirstsOnly(): boolean {
    return this.scorer.readsFirstsOnly
  }

  /** -> [B] */
  forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor {
    return this.scorer.forward(outputs, inputs).squeeze(-1)
  }

  /**
   * The reward of the text up to each token: hidden states [...,C] -> float32 [...].
   * @throws ConfigError for an architecture whose head has a dense layer, which encoders have
   */
  ofTokens(hidden: Tensor): Tensor {
    const { scorer } = this
    if (scorer instanceof RowClassifier && scorer.dense === undefined)
      return scorer.classifier.forward(hidden.to('float32')).squeeze(-1)
    throw new ConfigError('A critic needs a decoder, whose reward head is one layer: choose another base.')
  }
}

const label = 'reward'

/** Head of rewards; logits [B]. It has the checkpoints of the architecture's classifier, with one label. */
export const reward = (classifier: HeadEntry): HeadEntry => ({
  ...classifier,
  labels: () => [label],
  statesProblem: false,
  onRequest: { label },
  keys: classifier.keys.map((rule) => ({ ...rule, ours: String(rule.ours).replace(/^head\./, 'head.scorer.') })),
  build: (body, facts, options) => {
    const scorer = classifier.build(body, facts, { ...options, labels: [label] })
    if (scorer instanceof RowClassifier)
      scorer.classifier = new RewardLayer(facts.hiddenSize, 1, { bias: scorer.classifier.bias !== undefined })
    return new RewardHead(scorer)
  },
})
