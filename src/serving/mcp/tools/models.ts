// Tools that use models: text, classes and scores.
import { z } from 'zod'
import { ConfigError } from '../../../core/index.ts'
import { evaluate } from '../../../inference/index.ts'
import { defineTool } from '../tool.ts'

const model = z.string().describe('folder of a run (`folder` in list_runs), folder of a model, .gguf file or Hub id')

/** Longest list in an answer; longer ones, such as scores of single records, would fill the context of the agent. */
const maxListed = 100

/** New tokens of a text: by default, and at most. */
const defaultNewTokens = 128
const mostNewTokens = 2048

/** Says which limit has cut a text, for the agent that reads the answer. */
const truncationOf = (cutBy: 'maxNewTokens' | 'context', newTokens: number, maxNewTokens: number): string => {
  if (cutBy === 'context') return `The text ends after ${newTokens} tokens, where the context of the model is full.`
  const remedy = maxNewTokens < mostNewTokens ? ` Raise it for a longer text, up to ${mostNewTokens}.` : ''
  return `The text ends at \`maxNewTokens\`, ${maxNewTokens} tokens.${remedy}`
}

export const generateText = defineTool({
  name: 'generate_text',
  title: 'Generate text',
  description: `Continue a prompt with a language model, or answer a message with a chat model. The text has at most \`maxNewTokens\` tokens, ${defaultNewTokens} by default; \`truncated\` says where that cut it.`,
  input: z.strictObject({
    model,
    prompt: z.string().min(1).describe('text to continue, or the message with `chat`'),
    chat: z.boolean().default(false).describe("whether the prompt is a message, written by the model's chat template"),
    system: z.string().optional().describe('system prompt of a chat'),
    maxNewTokens: z.int().min(1).max(mostNewTokens).default(defaultNewTokens).describe('maximum number of new tokens'),
    temperature: z.number().min(0).max(2).default(0).describe('sampling temperature; 0 takes the most likely token'),
    seed: z.int().nonnegative().default(0).describe('random seed'),
  }),
  run({ model: name, prompt, chat, system, maxNewTokens, temperature, seed }, { models, signal }) {
    const sampling = temperature === 0 ? { sample: false } : { sample: true, temperature, seed }
    const generation = { ...sampling, maxNewTokens }
    return models.use(name, async (opened) => {
      const answerOf = (text: string, newTokens: number, cutBy?: 'maxNewTokens' | 'context') =>
        cutBy === undefined ? { text } : { text, truncated: truncationOf(cutBy, newTokens, maxNewTokens) }
      if (!chat) {
        const [{ text = '', newTokens, finishReason }] = await opened.generateResults([prompt], {
          ...generation,
          signal,
        })
        const limit = newTokens < maxNewTokens ? 'context' : 'maxNewTokens'
        return answerOf(text, newTokens, finishReason === 'length' ? limit : undefined)
      }
      const conversation = await opened.chat({ system, generation })
      conversation.add({ role: 'user', content: prompt })
      const { content, newTokens, cutBy } = await conversation.answer(undefined, signal)
      return answerOf(content, newTokens, cutBy)
    })
  },
})

export const classifyTexts = defineTool({
  name: 'classify_texts',
  title: 'Classify texts',
  description: 'Give the class of each text with the probability of every label, by a fine-tuned classifier.',
  input: z.strictObject({ model, texts: z.array(z.string()).min(1).max(256).describe('texts to classify') }),
  run: ({ model: name, texts }, { models, signal }) =>
    models.use(name, async (opened) => ({ classes: await opened.classify(texts, { signal }) })),
})

export const evaluateModel = defineTool({
  name: 'evaluate_model',
  title: 'Evaluate a model',
  description:
    "Score a model on a data file with confidence intervals: a specialist on its own task, or any task's metrics.",
  input: z.strictObject({
    model,
    task: z
      .string()
      .optional()
      .describe(
        'task whose metrics are computed, language-modelling or ranked-choices (default: the task of the specialist)',
      ),
    data: z.array(z.string()).min(1).describe('files or folders'),
    options: z.record(z.string(), z.unknown()).default({}).describe('options of the evaluation'),
  }),
  async run({ model: name, ...input }, { models, signal }) {
    if ('predictions' in input.options)
      throw new ConfigError(
        '`predictions` writes a file, which no tool does: leave it out, or run `evaluate` in a terminal.',
      )
    const found = await models.inTurn(() => evaluate({ model: name, ...input }, { signal }))
    const isShort = (value: unknown) => !Array.isArray(value) || value.length <= maxListed
    return Object.fromEntries(Object.entries(found).filter(([, value]) => isShort(value)))
  },
})
