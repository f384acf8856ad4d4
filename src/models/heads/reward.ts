// A reward per row: a classifier with one logit, as TRL's reward models.
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import { Head, type HeadEntry } from './head.ts'

class RewardHead extends Head {
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
}

/** Head of rewards; logits [B]. It has the checkpoints of the architecture's classifier, with one label. */
export const reward = (classifier: HeadEntry): HeadEntry => ({
  ...classifier,
  labels: () => ['reward'],
  statesProblem: false,
  onRequest: true,
  keys: classifier.keys.map((rule) => ({ ...rule, ours: String(rule.ours).replace(/^head\./, 'head.scorer.') })),
  build: (body, facts, options) => new RewardHead(classifier.build(body, facts, { ...options, labels: ['reward'] })),
})
