// The same conversations, template and weights as TRL's SFTTrainer with assistant_only_loss: the same tokens, the same masks, the same
// loss, however the batch is laid out. Golden by make-answers.py.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { loadModelWithReport } from '../../src/checkpoint/index.ts'
import { createChatEncoder } from '../../src/tasks/generative/chat-encoder.ts'
import type { Turn } from '../../src/tasks/generative/turns.ts'
import { scope, setThreads } from '../../src/tensor/index.ts'
import { testDevice } from '../device.ts'
import { chatTokenizer, chatTokenizerJson } from './chat-tokenizer.ts'

setThreads(1)

const folder = join(import.meta.dirname, 'golden', 'answers')
const golden = JSON.parse(readFileSync(join(folder, 'answers.json'), 'utf8')) as {
  template: string
  conversations: Turn[][]
  ids: number[][]
  labels: number[][]
  loss: number
  trlLoss: number
}

const encoded = (template: string) => {
  const form = createChatEncoder(chatTokenizer({ eos: '<|im_end|>' }), {
    template,
    lossOn: 'all-answers',
    tooLong: 'error',
    maxLength: 128,
    maxPrompt: 128,
  })
  const examples = golden.conversations.flatMap((turns) =>
    form.encode({ turns: turns.slice(0, -1) }, turns[turns.length - 1].content, { file: 'x', line: 1 }),
  )
  return { form, examples }
}

it('the golden answers were made with the tokenizer of these tests', () => {
  expect(JSON.parse(readFileSync(join(folder, 'tokenizer.json'), 'utf8'))).toEqual(chatTokenizerJson())
})

// Found by the template's own tags, and by marks around the answers where there are no tags.
it.each([
  ['tagged', golden.template],
  ['untagged', golden.template.replace(/\{% (end)?generation %\}/g, '')],
])('template %s: the loss is on the same tokens as in TRL, and equal', async (_, template) => {
  const { form, examples } = encoded(template)
  examples.forEach(({ ids, positions, targets }, i) => {
    expect([...ids]).toEqual(golden.ids[i].slice(0, ids.length))
    const labels = golden.ids[i].map(() => -100)
    positions.forEach((position, k) => {
      labels[position + 1] = targets[k]
    })
    expect(labels).toEqual(golden.labels[i])
  })
  const { model } = await loadModelWithReport(join(folder, 'model'))
  for (const padded of [true, false])
    scope(() => {
      const { terms } = form.criterion.loss(model, form.criterion.collate(examples, { padded, device: testDevice }))
      const loss = terms[0].sum.item() / terms[0].weight
      expect(Math.abs(loss - golden.loss)).toBeLessThan(1e-5)
      expect(Math.abs(loss - golden.trlLoss)).toBeLessThan(1e-5)
    })
})
