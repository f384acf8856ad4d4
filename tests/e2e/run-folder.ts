// A tiny corpus as shards with a tokenizer, and the program run in this process or as a child, for tests of runs.
import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { commands } from '../../src/cli/commands/index.ts'
import { runProgram } from '../../src/cli/program.ts'
import { createRandom } from '../../src/core/index.ts'
import { encodeShards } from '../../src/data/index.ts'
import { type TokenizerTrainInput, trainTokenizer, writeTokenizerFolder } from '../../src/tokenizers/index.ts'
import { program } from '../setup/program.ts'

export const repository = fileURLToPath(new URL('../../', import.meta.url))

const subjects = ['the cat', 'a dog', 'the old man', 'my sister', 'the king']
const verbs = ['sees', 'likes', 'finds', 'follows', 'hears']
const objects = ['the red house', 'a small boat', 'the river', 'a green tree', 'the moon']

/** Sentences of a tiny grammar, so that a few steps can learn something. */
export const makeDocuments = (count: number): string[] => {
  const random = createRandom('documents')
  const pick = (words: readonly string[]) => words[random.integer(words.length)]
  return Array.from({ length: count }, (_, i) =>
    Array.from({ length: 12 }, () => `${pick(subjects)} ${pick(verbs)} ${pick(objects)} .`)
      .join(' ')
      .concat(` number ${i} .`),
  )
}

export interface TextFolder {
  path: string
  tokenizer: string
  shards: string
  remove(): void
}

export const makeTextFolder = async (
  type: NonNullable<TokenizerTrainInput['type']>,
  vocabSize: number,
): Promise<TextFolder> => {
  const path = mkdtempSync(join(tmpdir(), 'tunesmith-runs-'))
  const [tokenizer, shards] = [join(path, 'tokenizer'), join(path, 'shards')]
  const documents = makeDocuments(120)
  const { files } = await trainTokenizer(documents, { type, vocabSize, validation: 0 }, { workers: 1 })
  await writeTokenizerFolder(tokenizer, files)
  await encodeShards(documents, tokenizer, shards, { validation: 0.2 }, { workers: 1 })
  return { path, tokenizer, shards, remove: () => rmSync(path, { recursive: true, force: true }) }
}

export interface ProgramResult {
  code: number
  stdout: string
  stderr: string
}

/** One command line in this process. */
export const runHere = async (
  argv: readonly string[],
  signal = new AbortController().signal,
): Promise<ProgramResult> => {
  let stdout = ''
  let stderr = ''
  const terminal = { stdout: (text: string) => void (stdout += text), stderr: (text: string) => void (stderr += text) }
  const code = await runProgram(argv, { commands, version: '0', signal, terminal })
  return { code, stdout, stderr }
}

/** One command line as a process of its own; `onText` sees its stderr as it comes and may send signals. */
export const runChild = (
  argv: readonly string[],
  onText: (stderr: string, kill: (signal: NodeJS.Signals) => void) => void = () => {},
): Promise<ProgramResult> => {
  const child = spawn(process.execPath, [...program, ...argv], { cwd: repository })
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    child.stdout.on('data', (data: Buffer) => {
      stdout += data.toString()
    })
    child.stderr.on('data', (data: Buffer) => {
      stderr += data.toString()
      onText(stderr, (signal) => child.kill(signal))
    })
    child.on('error', reject)
    child.on('close', (code) => resolve({ code: code ?? -1, stdout, stderr }))
  })
}
