// Decoder inputs of an encoder-decoder whose head reads one text: the encoder's own, shifted right.
import { arange, cat, full, type Tensor } from '../tensor/index.ts'
import type { BodyInputs } from './model.ts'

/** Derives the inputs of the decoder, whose first token is a fixed one or the last one that is no padding. */
export interface DecoderShift {
  (inputs: BodyInputs): BodyInputs
  readonly first: { id: number } | { lastBefore: number }
}

/** The inputs with those of the decoder, unless they are given. @param first the first token of each row, int64 [B,1] */
const shifted = (inputs: BodyInputs, first: (inputs: BodyInputs) => Tensor): BodyInputs => {
  const { inputIds, decoderInputIds } = inputs
  if (decoderInputIds !== undefined) return inputs
  return { ...inputs, decoderInputIds: cat([first(inputs), inputIds.narrow(1, 0, inputIds.shape[1] - 1)], 1) }
}

/** Shifted right after the start token. */
export const shiftAfterStart = (startId: number): DecoderShift =>
  Object.assign(
    (inputs: BodyInputs) =>
      shifted(inputs, ({ inputIds: { shape, dtype, device } }) => full([shape[0], 1], startId, { dtype, device })),
    { first: { id: startId } },
  )

/** Shifted right after the last token that is no padding, which is the code of the language (mBART). */
export const shiftAfterLast = (padId: number): DecoderShift =>
  Object.assign(
    (inputs: BodyInputs) =>
      shifted(inputs, ({ inputIds }) => {
        const present = inputIds.ne(padId).to('int64')
        const places = arange(inputIds.shape[1], { dtype: 'int64', device: inputIds.device })
        return inputIds.gather(1, places.mul(present).argmax(1, { keepdim: true }))
      }),
    { first: { lastBefore: padId } },
  )
