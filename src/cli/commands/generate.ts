// `tunesmith generate`: text that goes on from prompts, as it comes, or for a whole file of them. Knows no architecture.
import { z } from 'zod'
import { ConfigError, formatCount, writeFileAtomic } from '../../core/index.ts'
import {
  type GenerationOptions,
  type GenerationResult,
  generateMany,
  generationSchema,
  type Prompt,
  streamText,
  withDefaults,
} from '../../generation/index.ts'
import type { Model } from '../../models/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, type Tokenizer, turnEnds, withStart } from '../../tokenizers/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { withFields, withoutDefaults } from '../flags.ts'
import { generationDefaults } from '../parts/generation-defaults.ts'
import { AdapterChoice, parseAdapters } from '../parts/named-adapters.ts'
import { modelFields, openLanguageModel } from '../parts/open-model.ts'
import { readTexts } from '../parts/read-texts.ts'

interface GeneratedText extends Omit<GenerationResult, 'promptIndex'> {
  prompt: string
  /** Where adapters were named. */
  adapter?: string
}

interface ChatForm {
  template: string
  system: string | undefined
}

const promptOf = (tokenizer: Tokenizer, text: string, chat: ChatForm | undefined): Prompt => {
  if (chat !== undefined) {
    const messages = [
      ...(chat.system === undefined ? [] : [{ role: 'system', content: chat.system }]),
      { role: 'user', content: text },
    ]
    return applyChatTemplate(tokenizer, messages, { template: chat.template, addGenerationPrompt: true }).ids
  }
  const ids = Array.from(tokenizer.encode(text).ids)
  const start = tokenizer.special.bos ?? tokenizer.special.eos
  return ids.length === 0 && start !== undefined ? [start.id] : ids
}

/** @throws ConfigError for a model without a template where none is named */
const chatFormOf = (choice: AdapterChoice, given: string | undefined, system: string | undefined): ChatForm => {
  const template = given ?? choice.template
  if (template === undefined)
    throw new ConfigError(
      `Expected a chat template for \`--chat\`, got a model without one. Name one: --template ${Object.keys(CHAT_TEMPLATES).join('|')}, as it was trained.`,
    )
  return { template: withStart(choice.tokenizer, template), system }
}

/** The end tokens and marks of a chat template beside those that are asked for. */
const withEnds = (settings: GenerationOptions, tokenizer: Tokenizer, template: string): GenerationOptions => {
  const ends = turnEnds(tokenizer, { template })
  return {
    ...settings,
    eosTokenIds: [...new Set([...[settings.eosTokenIds ?? []].flat(), ...ends.ids])],
    stop: [...new Set([...[settings.stop ?? []].flat(), ...ends.stop])],
  }
}

const stream = async (
  model: Model,
  tokenizer: Tokenizer,
  prompt: Prompt,
  settings: GenerationOptions,
  context: CommandContext,
): Promise<GenerationResult[]> => {
  const ids: number[] = []
  let text = ''
  let finishReason: GenerationResult['finishReason'] = 'aborted'
  for await (const piece of streamText(model, tokenizer, prompt, settings, context)) {
    text += piece.text
    if (piece.text !== '') context.write(piece.text)
    if (piece.id !== undefined) ids.push(piece.id)
    finishReason = piece.finishReason ?? finishReason
  }
  context.write('\n')
  return [{ promptIndex: 0, text, ids, finishReason, promptTokens: prompt.length, newTokens: ids.length }]
}

const { noRepeatNgramSize, ...settingFields } = withoutDefaults(generationSchema, "the model's own default")

export const generate = defineCommand({
  name: 'generate',
  summary: 'Go on from a prompt, word by word as they come, or from each prompt of a file',
  example:
    'tunesmith generate --model runs/gpt --prompt "Once upon a time" --sample --temperature 0.8 --max-new-tokens 100',
  options: withFields(
    z.strictObject({
      ...modelFields,
      prompt: z
        .array(z.string())
        .default([])
        .describe('what to go on from; several give a text each')
        .meta({ commas: false }),
      input: z.string().optional().describe('a file of prompts: .txt with one a line, or .jsonl'),
      promptField: z.string().default('prompt').describe('the field of a .jsonl file that holds the prompt'),
      out: z.string().optional().describe('file for the texts, one JSON object a line'),
      batchSize: z.int().positive().default(8).describe('prompts that are continued at once'),
      adapter: z
        .array(z.string())
        .default([])
        .describe('the folder of an adapter, or NAME=FOLDER; several, and `base`, give a text each')
        .meta({ commas: false }),
      chat: z.boolean().default(false).describe("the prompt is a message, put into the model's chat template"),
      system: z.string().optional().describe('with --chat: what the model is told beforehand'),
      template: z
        .string()
        .optional()
        .describe(
          `with --chat: ${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source; the model's own unless given`,
        ),
    }),
    { ...settingFields, noRepeatNgramSize: noRepeatNgramSize.meta({ flag: 'unique-ngram-size' }) },
  ),
  async run(options, _args, context) {
    const { model: where, revision, device, prompt, input, promptField, out, batchSize, ...others } = options
    const { adapter, chat, system, template, ...given } = others
    for (const [name, value] of Object.entries({ system, template }))
      if (value !== undefined && !chat)
        throw new ConfigError(`Expected --chat beside \`${name}\`, got none. Set both or neither.`)
    const texts = input === undefined ? prompt : [...prompt, ...(await readTexts(input, promptField, context.warn))]
    if (texts.length === 0) throw new ConfigError('Expected --prompt or --input for `generate`, got neither.')
    const named = parseAdapters(adapter)
    const ready = await openLanguageModel({ model: where, revision, device }, context)
    const choice = await AdapterChoice.open(ready, named, device, context)
    const plain = withDefaults(await generationDefaults(ready), given as GenerationOptions)
    const single = (plain.numBeams ?? 1) === 1 && (plain.numReturnSequences ?? 1) === 1
    const streamed = texts.length === 1 && named.length < 2 && single && out === undefined
    const { tokenizer } = ready
    const progress = context.progress({
      label: 'generating',
      unit: 'texts',
      total: texts.length * Math.max(1, named.length),
      enabled: !streamed,
    })
    const started = performance.now()
    const made: GeneratedText[] = []
    try {
      for (const name of named.length === 0 ? [choice.active] : named.map((one) => one.name)) {
        const model = choice.use(name)
        const form = chat ? chatFormOf(choice, template, system) : undefined
        const settings = form === undefined ? plain : withEnds(plain, tokenizer, form.template)
        const prompts = texts.map((text) => promptOf(tokenizer, text, form))
        const before = made.length
        const results: GenerationResult[] = streamed
          ? await stream(model, tokenizer, prompts[0], settings, context)
          : await generateMany(model, tokenizer, prompts, settings, {
              batchSize,
              signal: context.signal,
              onBatch: (_, done) => progress.update(before + done.prompts),
            })
        for (const { promptIndex, ...result } of results)
          made.push({ prompt: texts[promptIndex], ...(named.length === 0 ? {} : { adapter: name }), ...result })
      }
    } finally {
      progress.stop()
    }
    const seconds = (performance.now() - started) / 1000
    const newTokens = made.reduce((sum, result) => sum + result.newTokens, 0)
    const ended = streamed ? `, ended by ${made[0].finishReason}` : ''
    context.log(`${newTokens} tokens, ${formatCount(newTokens / seconds)} a second${ended}`)
    if (out !== undefined) await writeFileAtomic(out, made.map((text) => `${JSON.stringify(text)}\n`).join(''))
    return { model: where, texts: made, seconds, tokensPerSecond: newTokens / seconds, streamed, out }
  },
  render: ({ texts, streamed, out }) =>
    streamed
      ? ''
      : out !== undefined
        ? `${formatCount(texts.length)} texts in ${out}`
        : texts
            .map(({ prompt, text, adapter }) => `── ${adapter === undefined ? '' : `${adapter}: `}${prompt}\n${text}`)
            .join('\n'),
})
