// Instructions and answers as both sides train on them: the conversation of the model's own template, cut at a length, of which all
// that follows the opening of the answer is trained. Rows are whole conversations, best fit first. Independent of model.
import { planBestFit, tokensInMemory } from '../../src/data/index.ts'
import { applyChatTemplate, type ChatMessage, type Tokenizer } from '../../src/tokenizers/index.ts'

export interface Instruction {
  instruction: string
  input: string
  output: string
}

/** Conversations end to end, each apart from the others; what the learner of tasks that write takes. */
export interface Row {
  ids: Uint32Array
  /** Where each conversation begins. */
  starts: number[]
  /** Whose next token is trained. */
  positions: Uint32Array
  targets: Uint32Array
  cut: number
}

/** One conversation. @param options.template (default: the tokenizer's own) */
export const encode = (
  { instruction, input, output }: Instruction,
  tokenizer: Tokenizer,
  { length, template }: { length: number; template?: string },
): Row => {
  const asked: ChatMessage = { role: 'user', content: input === '' ? instruction : `${instruction}\n\n${input}` }
  const idsOf = (messages: ChatMessage[], addGenerationPrompt: boolean) =>
    applyChatTemplate(tokenizer, messages, { template, addGenerationPrompt }).ids
  const opening = idsOf([asked], true).length
  const whole = idsOf([asked, { role: 'assistant', content: output }], false)
  const ids = Uint32Array.from(whole.slice(0, length))
  const count = Math.max(0, ids.length - opening)
  const positions = Uint32Array.from({ length: count }, (_, i) => opening + i - 1)
  return { ids, starts: [0], positions, targets: ids.subarray(ids.length - count), cut: whole.length - ids.length }
}

/** Rows of at most `length` tokens, in the order in which they were filled. */
export const pack = (examples: readonly Row[], length: number): Row[] => {
  const ends: number[] = []
  for (const { ids } of examples) ends.push((ends.at(-1) ?? 0) + ids.length)
  const all = new Uint32Array(ends.at(-1) ?? 0)
  for (const [i, { ids }] of examples.entries()) all.set(ids, ends[i] - ids.length)
  const plan = planBestFit(tokensInMemory(all, ends), length)
  const startingAt = new Map(ends.map((end, i) => [end - examples[i].ids.length, examples[i]]))
  return Array.from(plan.rowEnds, (end, row) =>
    join(
      [...plan.order.subarray(row === 0 ? 0 : plan.rowEnds[row - 1], end)].map(
        (piece) => startingAt.get(plan.start[piece]) as Row,
      ),
    ),
  )
}

const join = (parts: readonly Row[]): Row => {
  const together = (field: 'ids' | 'positions' | 'targets', shift: boolean) => {
    const joined = new Uint32Array(parts.reduce((sum, part) => sum + part[field].length, 0))
    let at = 0
    let before = 0
    for (const part of parts) {
      joined.set(shift ? part[field].map((position) => position + before) : part[field], at)
      at += part[field].length
      before += part.ids.length
    }
    return joined
  }
  let before = 0
  const starts = parts.map(({ ids }) => {
    before += ids.length
    return before - ids.length
  })
  return {
    ids: together('ids', false),
    starts,
    positions: together('positions', true),
    targets: together('targets', false),
    cut: parts.reduce((sum, { cut }) => sum + cut, 0),
  }
}
