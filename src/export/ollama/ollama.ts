// The target `ollama`: a GGUF file and a Modelfile with the context, the sampling settings and the ends of answers. Ollama's
// own defaults differ (a context of 2048, temperature 0.8, a penalty for repetition), so that every setting is written.

import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { programCall } from '../../core/index.ts'
import type { ExportSource, ExportTarget } from '../export-target.ts'
import { gguf, ggufFileName } from '../gguf/gguf.ts'

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

/** The content of a Modelfile. */
const modelfileOf = (source: ExportSource, variant: string): string => {
  const { sample = false, temperature = 1, topK = 0, topP = 1, minP = 0, repetitionPenalty = 1 } = source.generation
  const parameters: [string, string | number][] = [
    ['num_ctx', contextOf(source)],
    ['temperature', sample ? temperature : 0],
    ['top_k', topK],
    ['top_p', topP],
    ['min_p', minP],
    ['repeat_penalty', repetitionPenalty],
    ...stopsOf(source).map((stop): [string, string] => ['stop', JSON.stringify(stop)]),
  ]
  return [
    `FROM ./${ggufFileName(source, variant)}`,
    ...parameters.map(([name, value]) => `PARAMETER ${name} ${value}`),
    // A model without a chat template continues the prompt as it is.
    ...(source.chatTemplate === undefined ? ['TEMPLATE "{{ .Prompt }}"'] : []),
    '',
  ].join('\n')
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
    await writeFile(join(folder, 'Modelfile'), modelfileOf(source, variant))
    if (source.chatTemplate !== undefined)
      context.note(
        `The Modelfile has no TEMPLATE: Ollama guesses one from the chat template in the GGUF file. Compare a conversation with \`${programCall('chat')}\`, or write the template in Ollama's language.`,
      )
  },
  prove: async (source, variant, folder, context) => {
    const rows = (await gguf.prove?.(source, variant, folder, context)) ?? []
    return rows.map((row) => ({ ...row, target: row.target.replace(/^gguf/, 'ollama') }))
  },
}
