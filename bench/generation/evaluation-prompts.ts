// Prompts as an evaluation has them: dialogues of very different lengths to be summarised, in the chat format of SmolLM2. Independent of side.
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { dataFolder } from '../side-by-side.ts'

/** The first dialogues of DialogSum's validation part. */
export const evaluationPrompts = (count: number): string[] =>
  readFileSync(join(dataFolder(), 'dialogsum', 'dialogsum.dev.jsonl'), 'utf8')
    .split('\n')
    .slice(0, count)
    .map((line) => (JSON.parse(line) as { dialogue: string }).dialogue)
    .map(
      (dialogue) =>
        `<|im_start|>user\nSummarize this dialogue in one sentence.\n${dialogue}<|im_end|>\n<|im_start|>assistant\n`,
    )
