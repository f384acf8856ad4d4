// The target `ollama`: a GGUF file and a Modelfile with the context, the sampling settings and the ends of answers. Ollama's
// own defaults differ (a context of 2048, temperature 0.8, a penalty for repetition), so that every setting is written.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { programCall } from '../../core/index.ts'
import type { ExportSource, ExportTarget } from '../export-target.ts'
import { gguf, ggufFileName } from '../gguf/gguf.ts'
import { isWordPiece } from '../gguf/tokenizer-fields.ts'
import { modelfileValue, type OllamaTemplate, ollamaTemplate, templateLine } from './template.ts'

/** Longer contexts take memory that few machines have. */
const maxContext = 8192

const contextOf = ({ model }: ExportSource): number => {
  const { maxPositions } = model.config as { maxPositions?: unknown }
  return Math.min(maxContext, typeof maxPositions === 'number' ? maxPositions : maxContext)
}

/** Texts that end an answer: end tokens, and the stop strings of the model's settings. */
const stopsOf = ({ generation, tokenizer }: ExportSource): string[] => {
  const ids = [generation.eosTokenIds ?? tokenizer.special.eos?.id ?? []].flat()
  const ends = ids.flatMap((id) => tokenizer.idToToken(id) ?? [])
  return [...new Set([...ends, ...[generation.stop ?? []].flat()])]
}

/** TEMPLATE of a model: a model without a chat template continues the prompt as it is. */
const templateOf = (made: OllamaTemplate | undefined): string[] => {
  if (made === undefined) return ['TEMPLATE "{{ .Prompt }}"']
  return 'text' in made ? [templateLine(made.text)] : []
}

/** What users must know about TEMPLATE. */
const noteOf = (made: OllamaTemplate): string => {
  if ('reason' in made)
    return `The Modelfile has no TEMPLATE, as ${made.reason}. Ollama takes a similar one of its own, or writes messages without any; its newer versions render the chat template of the GGUF file. Compare a conversation with \`${programCall('chat')}\`, or write the template in Ollama's language.`
  const { conversations, limits } = made
  return `The Modelfile's TEMPLATE renders ${conversations} conversations as the chat template does.${limits.length === 0 ? '' : ` It ${limits.join(', and ')}.`}`
}

/** The content of a Modelfile. */
const modelfileOf = (
  source: ExportSource,
  variant: string,
  made: OllamaTemplate | undefined,
  stops: string[],
): string => {
  const { sample = false, temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = source.generation
  const parameters: [string, string | number][] = [
    ['num_ctx', contextOf(source)],
    ['temperature', sample ? temperature : 0],
    ['top_k', topK],
    ['top_p', topP],
    ['min_p', minP],
    ['repeat_penalty', repetitionPenalty],
    ...stops.map((stop): [string, string] => ['stop', stop]),
  ]
  return [
    `FROM ./${ggufFileName(source, variant)}`,
    ...parameters.map(([name, value]) => `PARAMETER ${name} ${value}`),
    ...templateOf(made),
    '',
  ].join('\n')
}

// Read in Ollama 0.13.5, and measured: MiniLM's embeddings of texts with accents, dashes or $ have a cosine
// of 0.13 to 0.77 with the model's, those of other texts of 0.999999.
const wordPieceNote =
  'Ollama 0.13 splits texts for this model by a WordPiece of its own, which keeps accents and leaves signs such as $ and + in words: embeddings of such texts differ. llama.cpp splits them as the model does.'

// Measured in Ollama 0.13.5: its llama.cpp gives the ids of "the" for "The", which later ones read from the file.
const lowerCaseNote =
  'Ollama 0.13 puts texts for this model into lower case before it splits them, which the tokenizer does not: answers to prompts with capitals differ. Newer versions of llama.cpp keep them.'

/** What users must know about tokens. */
const tokenNotes = ({ model, tokenizer }: ExportSource): string[] => {
  if (!isWordPiece(tokenizer)) return []
  if (!model.facts.causal) return [wordPieceNote]
  const idsOf = (text: string): string => tokenizer.encode(text, { addSpecialTokens: false }).ids.join()
  return idsOf('A') === idsOf('a') ? [] : [lowerCaseNote]
}

export const ollama: ExportTarget = {
  type: 'ollama',
  description: 'a GGUF file with a Modelfile, for `ollama create NAME -f Modelfile`',
  variants: gguf.variants,
  defaultVariant: gguf.defaultVariant,
  pipelineLibrary: 'gguf',
  folder: 'ollama',
  comparesScores: true,
  quantises: gguf.quantises,
  usesImportance: gguf.usesImportance,
  check: gguf.check,
  write: async (source, variant, folder, context) => {
    await gguf.write(source, variant, folder, context)
    const made = source.chatTemplate === undefined ? undefined : ollamaTemplate(source)
    const stops = stopsOf(source).map((stop) => ({ stop, value: modelfileValue(stop) }))
    for (const { stop } of stops.filter(({ value }) => value === undefined))
      context.note(`The Modelfile lacks the stop text ${JSON.stringify(stop)}: its parser cannot read it.`)
    const values = stops.flatMap(({ value }) => value ?? [])
    await writeFile(join(folder, 'Modelfile'), modelfileOf(source, variant, made, values))
    if (made !== undefined) context.note(noteOf(made))
    for (const note of tokenNotes(source)) context.note(note)
  },
  prove: async (source, variant, folder, context) => {
    const rows = (await gguf.prove?.(source, variant, folder, context)) ?? []
    return rows.map((row) => ({ ...row, target: row.target.replace(/^gguf/, 'ollama') }))
  },
}
