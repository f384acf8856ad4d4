// What a chat template does around answers, found by rendering a short conversation: the tokens that end them, and whether prompts begin
// answers as whole conversations do.
import { ConfigError } from '../../core/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, type Tokenizer } from '../../tokenizers/index.ts'

const exchange = (question: string, answer: string) => [
  { role: 'user', content: question },
  { role: 'assistant', content: answer },
]

/** The tokens that end answers. @throws ConfigError for a template without an end token after answers */
export const answerEndTokens = (tokenizer: Tokenizer, template: string): number[] => {
  const conversation = [...exchange('Is it?', 'It is.'), ...exchange('Why?', 'So it is.')]
  const { ids, assistantMask } = applyChatTemplate(tokenizer, conversation, { template })
  const specials = new Set(tokenizer.addedTokens.map(({ id }) => id))
  const { eos } = tokenizer.special
  if (eos !== undefined) specials.add(eos.id)
  const ends = new Set<number>(eos === undefined ? [] : [eos.id])
  ids.forEach((id, i) => {
    const closes = assistantMask[i] === 1 && assistantMask[i + 1] !== 1
    if (closes && specials.has(id)) ends.add(id)
    if (closes && !specials.has(id))
      throw new ConfigError(
        `Expected a chat template that ends each answer with a special token, got one whose answers end in ${JSON.stringify(tokenizer.decode([id]))}: the model could not learn to stop. Choose another \`template\` (${Object.keys(CHAT_TEMPLATES).join(', ')}), or add its tokens to the tokenizer.`,
      )
  })
  return [...ends]
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
