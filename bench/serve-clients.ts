// `npm run bench -- serve-clients`: other programs against a server with a small random model. The Vercel AI SDK and LangChain.js: texts,
// streams, objects of a schema, tool calls and vectors. lm-eval's `local-completions`: the log-likelihoods and the accuracy of our own
// evaluation. All are installed into a temporary folder, as together they take more than 200 MB. Options: --parts ai-sdk,langchain,lm-eval.
// lm-eval needs the Python of bench/peers/setup.mjs.
import { execFile } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { copyFile, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { loadModel, loadTokenizer } from '../src/checkpoint/index.ts'
import { promptLogProbs } from '../src/generation/index.ts'
import { type ModelFolders, makeFolders, seaTexts, startServer, toolTemplate } from '../tests/serving/fixture.ts'
import type { BenchOptions } from './main.ts'
import { chosenParts, peersPython, runJson } from './side-by-side.ts'

interface Sides {
  url: string
  folders: ModelFolders
  /** Temporary folder of the installed clients. */
  folder: string
}

const runFile = promisify(execFile)

/** Runs a script of bench/serving in a folder with its packages. */
const runScript = async (name: string, packages: readonly string[], { url, folder }: Sides): Promise<void> => {
  await writeFile(join(folder, 'package.json'), '{"private":true,"type":"module"}')
  await runFile('npm', ['install', '--no-audit', '--no-fund', ...packages], { cwd: folder })
  const script = join(folder, `${name}.mjs`)
  await copyFile(fileURLToPath(new URL(`./serving/${name}.mjs`, import.meta.url)), script)
  const { stdout } = await runFile(process.execPath, [script, `${url}/v1`], { cwd: folder })
  process.stdout.write(stdout)
}

/** What lm-eval needs beside the packages of the peers' Python, which has torch, transformers and datasets. */
const lmEvalPackages = [
  ...['lm_eval==0.4.13', 'jsonlines', 'numexpr', 'pytablewriter', 'DataProperty', 'mbstrdecoder', 'pathvalidate'],
  ...['tabledata', 'tcolorpy', 'typepy', 'sacrebleu', 'portalocker', 'colorama', 'sqlitedict', 'tqdm-multiprocess'],
  ...['zstandard', 'word2number', 'more_itertools', 'tenacity', 'aiohttp', 'aiosignal', 'aiohappyeyeballs'],
  ...['frozenlist', 'multidict', 'yarl', 'propcache', 'attrs', 'evaluate', 'tabulate'],
]

/** Contexts with three words, of which the first is the right one. */
const choiceRecords = () => {
  const words = seaTexts.join(' ').split(' ')
  return Array.from({ length: 24 }, (_, i) => ({
    context: words.slice(i, i + 6).join(' '),
    choices: [6, 7, 8].map((at) => ` ${words[i + at]}`),
    answer: 0,
  }))
}

const lmEval = async ({ url, folders, folder }: Sides): Promise<void> => {
  const python = peersPython()
  if (python === undefined) throw new Error('Expected the Python peers, got none. Run node bench/peers/setup.mjs.')
  const packages = join(folder, 'lm-eval')
  await runFile(python, ['-m', 'pip', 'install', '--quiet', '--no-deps', '--target', packages, ...lmEvalPackages])
  const records = choiceRecords()
  const path = join(folder, 'records.jsonl')
  await writeFile(path, records.map((record) => JSON.stringify(record)).join('\n'))
  const script = fileURLToPath(new URL('./peers/lm_eval_client.py', import.meta.url))
  const environment = { PYTHONPATH: packages, HF_HUB_OFFLINE: '1', HF_DATASETS_CACHE: join(folder, 'datasets') }
  const theirs = await runJson<{ scores: number[][]; accuracy: number }>(
    python,
    [script, url, folders.base, path],
    environment,
  )
  const model = await loadModel(folders.base)
  const tokenizer = await loadTokenizer(folders.base)
  const scoreOf = async (context: string, choice: string): Promise<number> => {
    const scored = await promptLogProbs(model, [...tokenizer.encode(context + choice).ids])
    return scored.slice(tokenizer.encode(context).ids.length - 1).reduce((sum, { logProb }) => sum + logProb, 0)
  }
  const ours: number[][] = []
  for (const { context, choices } of records)
    ours.push(await Promise.all(choices.map((choice) => scoreOf(context, choice))))
  const accuracy = ours.filter((scores) => scores.indexOf(Math.max(...scores)) === 0).length / ours.length
  const worst = Math.max(...ours.flatMap((scores, i) => scores.map((one, j) => Math.abs(one - theirs.scores[i][j]))))
  console.log(
    `lm-eval: ${3 * records.length} log-likelihoods differ by at most ${worst}; accuracy ${theirs.accuracy}, ours ${accuracy}`,
  )
  if (worst > 1e-4 || theirs.accuracy !== accuracy)
    throw new Error('lm-eval has other numbers than our own evaluation.')
}

const clients: Readonly<Record<string, (sides: Sides) => Promise<void>>> = {
  'ai-sdk': (sides) => runScript('ai-sdk', ['ai@6.0.326', '@ai-sdk/openai-compatible@2.0.92', 'zod@4'], sides),
  langchain: (sides) => runScript('langchain', ['@langchain/openai@1.5.8', '@langchain/core@1', 'zod@4'], sides),
  'lm-eval': lmEval,
}

export const run = async ({ rest }: BenchOptions): Promise<void> => {
  const at = rest.indexOf('--parts')
  const all = Object.keys(clients)
  const parts = at < 0 ? all : chosenParts(rest[at + 1], all)
  const folders = await makeFolders({ chatTemplate: toolTemplate, maxPositions: 2048 })
  const { server, url } = await startServer({ model: folders.base })
  const folder = mkdtempSync(join(tmpdir(), 'tunesmith-clients-'))
  try {
    for (const part of parts) await clients[part]({ url, folders, folder })
  } finally {
    await server.close()
    folders.remove()
    rmSync(folder, { recursive: true, force: true })
  }
}
