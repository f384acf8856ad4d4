// The registry of post-processors and the reader of their JSON forms.
import { Fields, MAX_DEPTH, throwInvalid } from '../fields.ts'
import { bertProcessing, byteLevelProcessing, robertaProcessing } from './framing.ts'
import type { PostProcessor, PostProcessorDefinition } from './post-processor.ts'
import { postProcessorSequence } from './sequence.ts'
import { templateProcessing } from './template.ts'

export type { PostProcessor } from './post-processor.ts'

const all = [bertProcessing, byteLevelProcessing, postProcessorSequence, robertaProcessing, templateProcessing]

/** All post-processor types by name. */
const postProcessors: Readonly<Record<string, PostProcessorDefinition>> = Object.fromEntries(
  all.map((definition) => [definition.type, definition]),
)

/** Builds a post-processor from its JSON form in tokenizer.json. Throws DataError. */
export const readPostProcessor = (value: unknown, where = 'post_processor', depth = 0): PostProcessor => {
  if (depth > MAX_DEPTH) throwInvalid(`at most ${MAX_DEPTH} nested sequences`, where, 'more')
  const fields = new Fields(value, where)
  const type = fields.string('type')
  const definition = Object.hasOwn(postProcessors, type) ? postProcessors[type] : undefined
  if (definition === undefined)
    throwInvalid(`one of ${Object.keys(postProcessors).join(', ')}`, fields.at('type'), type)
  return definition.read(fields, (inner, innerWhere) => readPostProcessor(inner, innerWhere, depth + 1))
}
