// `tunesmith generate`: text that goes on from prompts, as it comes. Knows no architecture.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { z } from 'zod'
import { ConfigError, formatCount } from '../core/index.ts'
import {
  type GenerationOptions,
  type GenerationResult,
  generate as generateTexts,
  generationFromHf,
  generationSchema,
  type LanguageModel,
  type Prompt,
  streamText,
  withDefaults,
} from '../generation/index.ts'
import { renderChatFor, type Tokenizer } from '../tokenizers/index.ts'
import { type CommandContext, defineCommand } from './command.ts'
import { withFields, withoutDefaults } from './flags.ts'
import { modelFields, openLanguageModel, type ReadyModel } from './open-model.ts'

interface GeneratedText extends Omit<GenerationResult, 'promptIndex'> {
  prompt: string
}

const readFields = async (folder: string | undefined, name: string): Promise<Record<string, unknown>> => {
  if (folder === undefined) return {}
  const text = await readFile(join(folder, name), 'utf8').catch(() => '{}')
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {}
  }
}

/** What the model's folder says of generation; the token that decoding starts from stands in config.json of older models. */
const defaultsOf = async ({ folder, model }: ReadyModel): Promise<GenerationOptions> => {
  const { decoder_start_token_id: start } = await readFields(folder, 'config.json')
  const fields = { decoder_start_token_id: start, ...(await readFields(folder, 'generation_config.json')) }
  const { decoderStartTokenId, ...options } = generationFromHf(fields)
  return model.facts.causal ? options : { ...options, decoderStartTokenId }
}

const promptOf = (tokenizer: Tokenizer, text: string, chat: boolean, system: string | undefined): Prompt => {
  if (chat) {
    const messages = [
      ...(system === undefined ? [] : [{ role: 'system', content: system }]),
      { role: 'user', content: text },
    ]
    const rendered = renderChatFor(tokenizer, messages, { addGenerationPrompt: true })
    return Array.from(tokenizer.encode(rendered, { addSpecialTokens: false }).ids)
  }
  const ids = Array.from(tokenizer.encode(text).ids)
  const start = tokenizer.special.bos ?? tokenizer.special.eos
  return ids.length === 0 && start !== undefined ? [start.id] : ids
}

const stream = async (ready: ReadyModel, prompt: Prompt, settings: GenerationOptions, context: CommandContext) => {
  const { model, tokenizer } = ready
  const ids: number[] = []
  let text = ''
  let finishReason: GenerationResult['finishReason'] = 'aborted'
  for await (const piece of streamText(model as unknown as LanguageModel, tokenizer, prompt, settings, context)) {
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
  summary: 'Go on from a prompt, word by word as they come',
  example:
    'tunesmith generate --model runs/gpt --prompt "Once upon a time" --sample --temperature 0.8 --max-new-tokens 100',
  options: withFields(
    z.strictObject({
      ...modelFields,
      prompt: z
        .array(z.string())
        .min(1)
        .describe('what to go on from; several give a text each')
        .meta({ commas: false }),
      chat: z.boolean().default(false).describe("the prompt is a message, put into the model's chat template"),
      system: z.string().optional().describe('with --chat: what the model is told beforehand'),
    }),
    { ...settingFields, noRepeatNgramSize: noRepeatNgramSize.meta({ flag: 'unique-ngram-size' }) },
  ),
  async run({ model, revision, device, prompt, chat, system, ...given }, _args, context) {
    if (system !== undefined && !chat)
      throw new ConfigError('Expected --chat beside `--system`, got none. Set both or neither.')
    const ready = await openLanguageModel({ model, revision, device }, context)
    const settings = withDefaults(await defaultsOf(ready), given as GenerationOptions)
    const prompts = prompt.map((text) => promptOf(ready.tokenizer, text, chat, system))
    const started = performance.now()
    const streams = prompts.length === 1 && (settings.numBeams ?? 1) === 1 && (settings.numReturnSequences ?? 1) === 1
    const results: GenerationResult[] = streams
      ? await stream(ready, prompts[0], settings, context)
      : await generateTexts(ready.model as unknown as LanguageModel, ready.tokenizer, prompts, settings, context)
    const seconds = (performance.now() - started) / 1000
    const newTokens = results.reduce((sum, result) => sum + result.newTokens, 0)
    if (streams)
      context.log(
        `${newTokens} tokens, ${formatCount(newTokens / seconds)} a second, ended by ${results[0].finishReason}`,
      )
    const texts = results.map(
      ({ promptIndex, ...result }): GeneratedText => ({ prompt: prompt[promptIndex], ...result }),
    )
    return { model, texts, seconds, streamed: streams }
  },
  render: ({ texts, streamed }) =>
    streamed ? '' : texts.map(({ prompt, text }) => `── ${prompt}\n${text}`).join('\n'),
})
