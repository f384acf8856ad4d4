// `tunesmith generate`: continues prompts, streamed to the terminal, or for a whole file of them.
import { z } from 'zod'
import { ConfigError, expectWritable, formatCount, writeFileAtomic } from '../../core/index.ts'
import { onFirst, shareItems } from '../../distributed/index.ts'
import {
  beginPrompts,
  type GenerationOptions,
  type GenerationResult,
  GenerationScheduler,
  generateMany,
  generationSchema,
  type Prompt,
  type SpeculationOptions,
  streamText,
  withDefaults,
  withEnds,
} from '../../generation/index.ts'
import {
  AdapterSwitch,
  generationDefaults,
  loadLanguageModel,
  openSpeculation,
  parseAdapters,
  speculationFields,
} from '../../inference/index.ts'
import type { Model } from '../../models/index.ts'
import { applyChatTemplate, CHAT_TEMPLATES, fitTemplate, type Tokenizer, turnEnds } from '../../tokenizers/index.ts'
import { type CommandContext, defineCommand } from '../command.ts'
import { withFields, withoutDefaults } from '../flags.ts'
import { switchField, textField, textsField } from '../parts/fields.ts'
import { loadHooks, modelFields, taskField } from '../parts/model-flags.ts'
import { seedsOfPrompts } from '../parts/prompt-seeds.ts'
import { expectSameModel, readSharedTexts } from '../parts/read-texts.ts'

interface GeneratedText extends Omit<GenerationResult, 'promptIndex'> {
  prompt: string
  /** The adapter that wrote it, when adapters were named. */
  adapter?: string
}

interface ChatForm {
  template: string
  system: string | undefined
}

const chatPrompt = (tokenizer: Tokenizer, text: string, { template, system }: ChatForm): Prompt => {
  const messages = [
    ...(system === undefined ? [] : [{ role: 'system', content: system }]),
    { role: 'user', content: text },
  ]
  return applyChatTemplate(tokenizer, messages, { template, addGenerationPrompt: true }).ids
}

/** @throws ConfigError for a model without a template where none is named */
const chatFormOf = (adapters: AdapterSwitch, given: string | undefined, system: string | undefined): ChatForm => {
  const template = given ?? adapters.template
  if (template === undefined)
    throw new ConfigError(
      `\`--chat\` needs a chat template, and this model has none: set \`--template\` to the one it was trained with (${Object.keys(CHAT_TEMPLATES).join(', ')}).`,
    )
  return { template: fitTemplate(adapters.tokenizer, template), system }
}

/** The settings with a seed for each prompt: a flag that can be repeated is read as a list, and one number gives each its own. */
const withSeeds = (settings: GenerationOptions, prompts: number): GenerationOptions => {
  const seeds = [settings.seed ?? []].flat()
  return seeds.length === 1 ? { ...settings, seed: seedsOfPrompts(seeds[0], prompts) } : settings
}

/** The settings for some of the prompts. */
const withSeedsOf = ({ seed, ...settings }: GenerationOptions, places: readonly number[]): GenerationOptions => ({
  ...settings,
  ...(seed === undefined ? {} : { seed: Array.isArray(seed) ? places.map((place) => seed[place]) : seed }),
})

const stream = async (
  model: Model,
  tokenizer: Tokenizer,
  prompt: Prompt,
  settings: GenerationOptions,
  context: CommandContext,
  speculation: SpeculationOptions | undefined,
): Promise<GenerationResult[]> => {
  const scheduler = speculation && new GenerationScheduler(model, { tokenizer, speculation })
  const ids: number[] = []
  let text = ''
  let finishReason: GenerationResult['finishReason'] = 'aborted'
  try {
    const pieces =
      scheduler?.submit({ prompt, options: settings, signal: context.signal }) ??
      streamText(model, tokenizer, prompt, settings, context)
    for await (const piece of pieces) {
      text += piece.text
      if (piece.text !== '') context.write(piece.text)
      if (piece.id !== undefined) ids.push(piece.id)
      finishReason = piece.finishReason ?? finishReason
    }
  } finally {
    scheduler?.free()
  }
  context.write('\n')
  return [{ promptIndex: 0, text, ids, finishReason, promptTokens: prompt.length, newTokens: ids.length }]
}

/** Says of texts that end because the model has no more positions: their finish reason is that of a text with all tokens it may have. */
const noteContext = (
  texts: readonly GeneratedText[],
  asked: number | undefined,
  { facts: { maxPositions } }: Model,
  context: CommandContext,
): void => {
  if (asked === undefined || maxPositions === undefined) return
  const cut = texts.filter(({ finishReason, newTokens }) => finishReason === 'length' && newTokens < asked).length
  if (cut === 0) return
  const which = texts.length === 1 ? 'the text' : `${cut} of ${texts.length} texts`
  context.warn(
    `The context of ${maxPositions} tokens, prompt included, ended ${which} before the ${asked} tokens of \`--max-new-tokens\`.`,
  )
}

const { noRepeatNgramSize, ...settingFields } = withoutDefaults(generationSchema, "the model's own")

export const generate = defineCommand({
  name: 'generate',
  summary: 'Generate text from a prompt, streamed, or from each prompt of a file',
  example:
    'tunesmith generate --model runs/gpt --prompt "Once upon a time" --sample --temperature 0.8 --max-new-tokens 100',
  processes: 'divided',
  options: withFields(
    z.strictObject({
      ...modelFields,
      task: taskField,
      prompt: textsField('prompt to continue; repeat for several texts').meta({ commas: false, keepsEmpty: true }),
      suffix: z
        .string()
        .default('')
        .describe(
          'text after a gap: the text between the prompt and it is generated, by a model with fill-in-the-middle tokens',
        ),
      input: textField('file of prompts: .txt with one per line, or .jsonl; - reads standard input'),
      promptField: z.string().default('prompt').describe('field of a .jsonl file that holds the prompt'),
      out: textField('file for the texts, one JSON object per line'),
      ...speculationFields,
      batchSize: z.int().positive().default(8).describe('prompts per batch'),
      adapter: textsField('adapter as FOLDER or NAME=FOLDER, or `base`; repeat to generate with each').meta({
        commas: false,
      }),
      chat: switchField("treat the prompt as a user message and apply the model's chat template"),
      system: textField('with --chat: system prompt'),
      template: textField(
        `with --chat: chat template, one of ${Object.keys(CHAT_TEMPLATES).join(', ')}, or Jinja source (default: the model's own)`,
      ),
    }),
    { ...settingFields, noRepeatNgramSize: noRepeatNgramSize.meta({ flag: 'unique-ngram-size' }) },
  ),
  async run(options, _args, context) {
    const {
      use: _,
      model: where,
      task,
      revision,
      device,
      weights,
      prompt,
      suffix,
      input,
      promptField,
      out,
      batchSize,
      ...others
    } = options
    const { adapter, chat, system, template, promptLookup, draftModel, draftTokens, ...given } = others
    for (const [name, value] of Object.entries({ system, template }))
      if (value !== undefined && !chat) throw new ConfigError(`\`--${name}\` needs \`--chat\`: set both or neither.`)
    if (suffix !== '' && chat)
      throw new ConfigError('`--suffix` has no effect on answers of a chat: leave out one of `--suffix` and `--chat`.')
    const texts = input === undefined ? prompt : [...prompt, ...(await readSharedTexts(input, promptField, context))]
    if (texts.length === 0) throw new ConfigError('`generate` needs a prompt: set `--prompt` or `--input`.')
    if (out !== undefined) await onFirst(context.group, () => expectWritable(out, 'out'))
    const named = parseAdapters(adapter)
    const hooks = loadHooks(context)
    const loaded = await loadLanguageModel({ model: where, task, revision, device, weights }, hooks)
    await expectSameModel(context, loaded.folder)
    const speculation = await openSpeculation(loaded, { promptLookup, draftModel, draftTokens }, { device, ...hooks })
    const adapters = await AdapterSwitch.load(loaded, named, { device, ...hooks })
    const plain = withDefaults(await generationDefaults(loaded), withSeeds(given as GenerationOptions, texts.length))
    const single = (plain.numBeams ?? 1) === 1 && (plain.numReturnSequences ?? 1) === 1
    const streamed = texts.length === 1 && named.length < 2 && single && out === undefined
    const { tokenizer } = loaded
    const progress = context.progress({
      label: 'Generating',
      unit: 'texts',
      total: texts.length * Math.max(1, named.length),
      enabled: !streamed,
    })
    if (!chat && suffix === '' && texts.includes(''))
      context.log('The prompt is empty: the text begins at the start token. To continue a text, set `prompt` to it.')
    const started = performance.now()
    const generated: GeneratedText[] = []
    try {
      for (const name of named.length === 0 ? [adapters.active] : named.map((one) => one.name)) {
        const model = adapters.use(name)
        const form = chat ? chatFormOf(adapters, template, system) : undefined
        const { prompts, options: settings } =
          form === undefined
            ? beginPrompts(tokenizer, texts, plain, suffix)
            : {
                prompts: texts.map((text) => chatPrompt(tokenizer, text, form)),
                options: withEnds(plain, turnEnds(tokenizer, form)),
              }
        const before = generated.length
        const write = async (own: readonly Prompt[], places: readonly number[]): Promise<GenerationResult[][]> => {
          const ownSettings = withSeedsOf(settings, places)
          const results = streamed
            ? await stream(model, tokenizer, own[0], ownSettings, context, speculation?.options)
            : await generateMany(model, tokenizer, own, ownSettings, {
                batchSize,
                speculation: speculation?.options,
                signal: context.signal,
                onBatch: (_, done) =>
                  progress.update(Math.min(before + texts.length, before + done.prompts * (context.group?.size ?? 1))),
              })
          return own.map((_, i) => results.filter(({ promptIndex }) => promptIndex === i))
        }
        for (const [i, results] of (await shareItems(context.group, prompts, write)).entries())
          for (const { promptIndex: _, ...result } of results)
            generated.push({ prompt: texts[i], ...(named.length === 0 ? {} : { adapter: name }), ...result })
      }
    } finally {
      progress.stop()
      speculation?.close()
    }
    noteContext(generated, (given as GenerationOptions).maxNewTokens, loaded.model, context)
    const seconds = (performance.now() - started) / 1000
    const newTokens = generated.reduce((sum, result) => sum + result.newTokens, 0)
    const ended = streamed ? `, finish reason ${generated[0].finishReason}` : ''
    context.log(`${newTokens} tokens, ${formatCount(newTokens / seconds)} tokens/s${ended}`)
    if (out !== undefined && context.group?.first !== false)
      await writeFileAtomic(out, generated.map((text) => `${JSON.stringify(text)}\n`).join(''))
    return { model: where, texts: generated, seconds, tokensPerSecond: newTokens / seconds, streamed, out }
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
