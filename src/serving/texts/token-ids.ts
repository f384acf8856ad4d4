// Token ids that a client sends in the place of a text: the model reads them as they are, without special tokens around them.
import { z } from 'zod'
import { badRequest } from '../http/errors.ts'
import type { ServedModel } from '../models/served-models.ts'

/** Schema of one text as token ids. */
export const tokenIds = z.array(z.int().nonnegative()).min(1)

/** A field that is one text or a list of texts, each a string or token ids, as a list. */
export const textList = (
  value: string | readonly number[] | readonly (string | readonly number[])[],
): (string | readonly number[])[] => {
  if (typeof value === 'string') return [value]
  return typeof value[0] === 'number' ? [value as readonly number[]] : [...(value as (string | readonly number[])[])]
}

/** @throws ApiError for ids that the model does not have */
export const expectTokenIds = (model: ServedModel, ids: readonly number[], field: string, index: number): void => {
  const { vocabSize } = model.text.model.facts
  const wrong = ids.find((id) => id >= vocabSize)
  if (wrong !== undefined)
    throw badRequest(
      `Expected token ids below ${vocabSize} for \`${field}\`, got ${wrong} in ${field} ${index}.`,
      field,
    )
}
