// Writes the tokenizer of chat-tokenizer.ts for make-answers.py.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { chatTokenizerJson } from './chat-tokenizer.ts'

const folder = join(import.meta.dirname, 'golden', 'answers')
mkdirSync(folder, { recursive: true })
writeFileSync(join(folder, 'tokenizer.json'), `${JSON.stringify(chatTokenizerJson())}\n`)
