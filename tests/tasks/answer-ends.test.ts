// What ends an answer where a tokenizer has no end token, as the quickstart's has none: checked on a WordPiece of a few words.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { answerEndTokens, fittingTemplates } from '../../src/tasks/generative/answer-ends.ts'
import { createChatEncoder } from '../../src/tasks/generative/chat-encoder.ts'
import { fitTemplate, loadTokenizer, trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { chatTokenizer } from './chat-tokenizer.ts'

const root = mkdtempSync(join(tmpdir(), 'tunesmith-ends-'))
afterAll(() => rmSync(root, { recursive: true }))
beforeAll(async () => {
  const texts = ['User: Assistant: ### Is it? It is. Why? So it is. <|im_start|>']
  const { files } = await trainTokenizer(texts, { type: 'wordpiece', vocabSize: 90, lowercase: false }, { workers: 1 })
  await writeTokenizerFolder(root, files)
})

it('is the separator, for every template with a changeable end', async () => {
  const tokenizer = await loadTokenizer(root)
  expect(tokenizer.special.eos).toBeUndefined()
  expect(fittingTemplates(tokenizer)).toEqual(['mistral', 'alpaca', 'plain', 'completion'])
  const encoder = createChatEncoder(tokenizer, {
    lossOn: 'all-answers',
    tooLong: 'error',
    maxLength: 60,
    maxPrompt: 60,
  })
  expect(encoder.eosTokenIds).toEqual([tokenizer.special.sep?.id])
  const [{ targets }] = encoder.encode({ turns: [{ role: 'user', content: 'Why?' }] }, 'So it is.', {
    file: 'x',
    line: 1,
  })
  expect(tokenizer.decode([...targets], { skipSpecialTokens: false })).toBe('So it is. [SEP]')
})

it('of a template that has none names the templates that do', async () => {
  const tokenizer = await loadTokenizer(root)
  const chatml = fitTemplate(tokenizer, 'chatml')
  expect(() => answerEndTokens(tokenizer, chatml)).toThrow(
    /ends each answer with a special token.*works with this tokenizer: mistral, alpaca, plain, completion, or Jinja/,
  )
})

it('stays the end token of a tokenizer that has one', () => {
  const tokenizer = chatTokenizer()
  expect(fitTemplate(tokenizer, 'plain')).toContain('+ eos_token')
  expect(fittingTemplates(tokenizer)).toEqual(['chatml', 'llama3', 'mistral', 'alpaca', 'plain', 'completion'])
})
