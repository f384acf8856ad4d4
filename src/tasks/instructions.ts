// Instruction tuning: conversations in any usual form; the loss is on the assistant's turns.
// @source Wang et al. 2022, arXiv:2212.10560 (Self-Instruct); Köpf et al. 2023, arXiv:2304.07327 (OpenAssistant)
import { z } from 'zod'
import { ConfigError, show } from '../core/index.ts'
import type { GeneratedPrediction } from './generative/answer-scores.ts'
import { type Conversation, conversationsIn, formNames } from './generative/conversations.ts'
import { generationFields, metricsField } from './generative/generation-fields.ts'
import { type GenerativeRecord, generativeTaskParts } from './generative/generative-task.ts'
import { toolsFrom, turnFrom } from './generative/messages.ts'
import { answerText, messageOf, splitLastAnswer, type ToolDefinition, type Turn } from './generative/turns.ts'
import { columnNames } from './records/columns.ts'
import { instructionDatasets } from './records/known-datasets.ts'
import { readSeveral } from './records/read-records.ts'
import { rowFields } from './records/read-rows.ts'
import { streaming } from './records/record-source.ts'
import { defineTask, type TaskExample } from './task.ts'

const config = z.strictObject({
  ...rowFields,
  form: z
    .enum(['auto', ...formNames])
    .default('auto')
    .describe(
      'form of a row: columns (instruction and answer), instances of an instruction, messages with roles, or a message tree; auto: by the columns',
    ),
  instruction: z.string().default('instruction').describe('column with the instruction'),
  input: z.string().default('input').describe('column with the input of the instruction, if there is one'),
  output: columnNames('column with the answer; of several names, the first in the row', 'output', 'response', 'answer'),
  messages: columnNames(
    'column with the messages: role and content, or from and value; of several names, the first in the row',
    'messages',
    'conversations',
    'conversation',
  ),
  tools: columnNames(
    'column with the tools that the assistant may call, as a list or as JSON text; of several names, the first in the row',
    'tools',
    'functions',
  ),
  reasoning: z
    .enum(['template', 'tags', 'drop'])
    .default('template')
    .describe(
      'reasoning before answers: as the chat template writes it, between <think> and </think> before the answer, or left out',
    ),
  instances: z.string().default('instances').describe('column with the instances of an instruction: input and output'),
  tree: z.string().default('prompt').describe('column with the root message of a tree'),
  paths: z
    .enum(['best', 'all'])
    .default('best')
    .describe('conversations of a tree: best (follow the best-ranked replies) or all (one for each leaf)'),
  ...generationFields,
  metrics: metricsField(['rougeL']),
})
type Config = z.output<typeof config>

/** A conversation up to its last question, with the reference answer. */
export interface InstructionRecord extends GenerativeRecord {
  /** Turns up to the last question. */
  turns: readonly Turn[]
  /** The answer, where it is more than the text of `references`. */
  answer?: Turn
  tools?: readonly ToolDefinition[]
}

type Reasoning = Config['reasoning']

/** A turn with its reasoning as the settings want it. */
const reasoned = (turn: Turn, how: Reasoning): Turn => {
  const { reasoning_content: reasoning, ...others } = turn
  if (how === 'template' || reasoning === undefined) return turn
  if (how === 'drop') return others
  return { ...others, content: `<think>\n${reasoning.trim()}\n</think>\n\n${turn.content}` }
}

/** @throws ConfigError for what an encoder-decoder, which has no chat template, would leave out */
const encoderInput = ({ turns, answer, tools }: InstructionRecord): string => {
  if (tools !== undefined || answer !== undefined || !turns.every(isPlain))
    throw new ConfigError(
      'Tools, reasoning and weights of turns need a decoder with a chat template: choose another base, or remove them from the data.',
    )
  return turns.map(({ content }) => content).join('\n\n')
}

const isPlain = (turn: Turn): boolean => Object.keys(messageOf(turn)).length === 2 && turn.weight === undefined

/** The fields of a record: `answer` only where it is more than its text. */
const fieldsOf = (
  { turns, answer, tools }: Conversation,
  { reasoning, labelled }: { reasoning: Reasoning; labelled: boolean },
) => {
  const last = reasoned(answer, reasoning)
  return {
    turns: turns.map((turn) => reasoned(turn, reasoning)),
    references: labelled ? [answerText(last)] : [],
    ...(labelled && !isPlain(last) ? { answer: last } : {}),
    ...(tools === undefined ? {} : { tools }),
  }
}

export const instructions = defineTask<Config, InstructionRecord, TaskExample, GeneratedPrediction, 'instructions'>({
  type: 'instructions',
  source: 'arXiv:2212.10560 (Self-Instruct)',
  summary: 'generated answers to instructions and in conversations',
  config,
  datasets: instructionDatasets,
  dataSettings: [
    ...Object.keys(rowFields),
    'form',
    'instruction',
    'input',
    'output',
    'messages',
    'instances',
    'tree',
    'paths',
  ],
  ...generativeTaskParts<Config, InstructionRecord>({
    chatPrompt: ({ turns, tools }) => ({ turns, ...(tools === undefined ? {} : { tools }) }),
    chatAnswer: ({ answer }) => answer,
    encoderInput,
    mainMetric: () => 'perplexity',
  }),
  read: streaming((path, settings, { labelled = true, ...flow } = {}) =>
    readSeveral<ReturnType<typeof fieldsOf>>(
      path,
      settings,
      {
        columns: {},
        optional: [
          ...[settings.instruction, settings.input, settings.instances, settings.tree, 'system'],
          ...settings.output,
          ...settings.messages,
          ...settings.tools,
        ],
        several: (row) =>
          conversationsIn(row, settings.form, settings, settings).map((one) =>
            'fault' in one ? one : { value: fieldsOf(one.value, { reasoning: settings.reasoning, labelled }) },
          ),
      },
      flow,
    ),
  ),
  recordFromInput({ text, messages, tools }, id, { reasoning }) {
    const place = { id, file: 'input', line: undefined, references: [] }
    if (messages === undefined) {
      if (typeof text === 'string' && text.trim() !== '') return { ...place, turns: [{ role: 'user', content: text }] }
      throw new ConfigError(`Expected a text for \`text\`, got ${show(text)}.`)
    }
    const turns = (Array.isArray(messages) ? (messages as unknown[]) : []).map(turnFrom)
    const defined = toolsFrom(tools, 'tools')
    // The check needs a complete conversation: a placeholder stands for the answer to predict.
    const checked = splitLastAnswer([
      ...turns.flatMap((one) => ('fault' in one ? [] : [one.value])),
      { role: 'assistant', content: '?' },
    ])
    const wrong = [...turns, checked, defined].find((one) => 'fault' in one)
    if (wrong !== undefined && 'fault' in wrong) throw new ConfigError(wrong.fault.message)
    return {
      ...place,
      turns: 'value' in checked ? checked.value.turns.map((turn) => reasoned(turn, reasoning)) : [],
      ...('value' in defined && defined.value !== undefined ? { tools: defined.value } : {}),
    }
  },
})
