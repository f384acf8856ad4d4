// Contents of messages: texts, whole or in parts. Parts of other kinds are known, so that they are refused by name.
import { z } from 'zod'
import { badRequest } from '../http/errors.ts'

/** Schema of parts that hold no text, of some types. */
export const otherParts = <const Types extends readonly [string, ...string[]]>(types: Types) =>
  z.looseObject({ type: z.enum(types) })

/** A part of a content. */
type Part = { type: string; text: string } | { type: string; [field: string]: unknown }

const hasText = (part: Part): part is { type: string; text: string } => typeof part.text === 'string'

/** The text of a content. @param where its name in errors @throws ApiError for a part of another kind */
export const textOf = (content: string | readonly Part[], where: string): string => {
  if (typeof content === 'string') return content
  return content
    .map((part, i) => {
      if (hasText(part)) return part.text
      throw badRequest(
        `\`${where}[${i}]\` is of the type ${part.type}: this server reads text only. Remove the part, or describe it in words.`,
        `${where}[${i}].type`,
        'unsupported_content',
      )
    })
    .join('')
}
