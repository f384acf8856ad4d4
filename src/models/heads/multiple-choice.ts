// A score for each choice of a question; the highest one is the answer.

import { ShapeError } from '../../core/index.ts'
import type { Tensor } from '../../tensor/index.ts'
import type { BodyInputs, BodyOutputs } from '../model.ts'
import type { HeadEntry } from './head.ts'
import { type ClassifierShape, classifierKeys, RowClassifier } from './sequence-classification.ts'

/** Head of multiple choice; logits [B,N]. */
export class MultipleChoiceHead extends RowClassifier {
  /** [B,N,T] -> [B*N,T]; or all rows packed, [1,1,tokens] with `starts` -> [1,tokens]. */
  override bodyInputs(inputs: BodyInputs): BodyInputs {
    if (inputs.inputIds.ndim !== 3)
      throw new ShapeError(
        `Expected inputIds [rows, choices, tokens] for a multiple-choice head, got [${inputs.inputIds.shape.join(', ')}].`,
      )
    const flat = (x: Tensor | undefined) => x?.reshape([-1, x.shape[2]])
    return {
      ...inputs,
      inputIds: inputs.inputIds.reshape([-1, inputs.inputIds.shape[2]]),
      attentionMask: flat(inputs.attentionMask),
      typeIds: flat(inputs.typeIds),
      positionIds: flat(inputs.positionIds),
    }
  }

  /** -> float32 [B,N], or [1,rows] for packed ones. */
  override forward(outputs: BodyOutputs, inputs: BodyInputs): Tensor {
    const [rows, choices] = inputs.starts === undefined ? inputs.inputIds.shape : [1, -1]
    return super.forward(outputs, this.bodyInputs(inputs)).view([rows, choices])
  }
}

/** Head of multiple choice; logits [B,N]. */
export const multipleChoice = (hfClass: string | undefined, shape: ClassifierShape): HeadEntry => ({
  hfClass,
  keys: classifierKeys(shape),
  build: (_, { hiddenSize }, { dropout = shape.dropout }) =>
    new MultipleChoiceHead(hiddenSize, 1, { ...shape, dropout }),
})
