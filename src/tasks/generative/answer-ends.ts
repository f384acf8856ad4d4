// What a chat template does around answers, found by rendering a short conversation: the tokens that end them, and whether prompts begin
// answers as whole conversations do.
import { ConfigError } from '../../core/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, fitTemplate, type Tokenizer } from '../../tokenizers/index.ts'

const exchange = (question: string, answer: string) => [
  { role: 'user', content: question },
  { role: 'assistant', content: answer },
]

interface AnswerEnds {
  /** Ids of end tokens, including the tokenizer's own. */
  ids: number[]
  /** Token that ends an answer and is not special, so that a model cannot learn to stop by it. */
  wrong?: number
}

const findEnds = (tokenizer: Tokenizer, template: string): AnswerEnds => {
  const conversation = [...exchange('Is it?', 'It is.'), ...exchange('Why?', 'So it is.')]
  const { ids, assistantMask } = applyChatTemplate(tokenizer, conversation, { template })
  const specials = new Set(tokenizer.addedTokens.map(({ id }) => id))
  const { eos } = tokenizer.special
  if (eos !== undefined) specials.add(eos.id)
  const lasts = ids.filter((_, i) => assistantMask[i] === 1 && assistantMask[i + 1] !== 1)
  const wrong = lasts.find((id) => !specials.has(id))
  return {
    ids: [...new Set([...(eos === undefined ? [] : [eos.id]), ...lasts])],
    ...(wrong !== undefined && { wrong }),
  }
}

/** The presets that end answers with a special token of this tokenizer. */
export const fittingTemplates = (tokenizer: Tokenizer): string[] =>
  Object.keys(CHAT_TEMPLATES).filter((name) => {
    try {
      return findEnds(tokenizer, fitTemplate(tokenizer, name)).wrong === undefined
    } catch {
      return false
    }
  })

/** The tokens that end answers. @throws ConfigError for a template without an end token after answers */
export const answerEndTokens = (tokenizer: Tokenizer, template: string): number[] => {
  const { ids, wrong } = findEnds(tokenizer, template)
  if (wrong === undefined) return ids
  const others = fittingTemplates(tokenizer)
  const advice =
    others.length > 0
      ? `Choose a \`template\` that works with this tokenizer: ${others.join(', ')}, or Jinja source; or add the tokens of a template to the base with \`vocabulary grow --template chatml\`.`
      : 'The tokenizer has no token that could end them: add those of a template to the base with `vocabulary grow --template chatml`, or train the tokenizer with `extraTokens`.'
  throw new ConfigError(
    `Expected a chat template that ends each answer with a special token, got one whose answers end in ${JSON.stringify(tokenizer.decode([wrong]))}: the model could not learn to stop. ${advice}`,
  )
}

/** Whether a prompt has the same tokens as the beginning of a training example. */
const promptMatchesTraining = (tokenizer: Tokenizer, template: string): boolean => {
  const [question, answer] = exchange('Is it?', 'It is.')
  const whole = applyChatTemplate(tokenizer, [question, answer], { template }).ids
  const prompt = applyChatTemplate(tokenizer, [question], { template, addGenerationPrompt: true }).ids
  return prompt.every((id, i) => id === whole[i])
}

/** Remarks about a template with this tokenizer, in sentences. @param chosen whether the user chose the template */
export const templateNotes = (tokenizer: Tokenizer, template: string, chosen: boolean): string[] => {
  const notes = promptMatchesTraining(tokenizer, template)
    ? []
    : [
        'The chat template begins answers differently in generation prompts than in whole conversations: training and generation see different tokens.',
      ]
  if (!chosen && tokenizer.chatTemplate === undefined)
    notes.push('The tokenizer has no chat template: using the template `plain`.')
  return notes
}
